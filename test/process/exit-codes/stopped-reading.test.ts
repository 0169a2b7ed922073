/** Exit codes 143 and 130 of commands that only read: at once, whoever they wait for. */
import { createServer, type Socket } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const SIGNALS = [
  { signal: "SIGTERM", exitCode: 143 },
  { signal: "SIGINT", exitCode: 130 },
] as const;

/** The server itself lets statements wait for ever. */
const NO_TIMEOUT = { WATCHDOG_DB_POOLER: "on" };

type Stop = (typeof SIGNALS)[number];

for (const stop of SIGNALS) {
  describe(`a command that only reads, stopped by ${stop.signal}`, () => {
    for (const command of ["status", "history", "explain", "doctor"]) {
      it(`exits with ${stop.exitCode} while Postgres is slow, and takes its statement with it: ${command}`, async () => {
        await using world = await createWorld();
        const { id } = await world.seed();
        await using lock = await lockTables(world);
        const args = command === "explain" ? [command, id] : [command];
        await using worker = await startWorker({ ...world.env, ...NO_TIMEOUT }, args);
        await lock.waiting(1);
        await endsAtOnce(worker, stop);
        await lock.waiting(0);
      });
    }

    for (const command of ["explain", "doctor"]) {
      it(`exits with ${stop.exitCode} while the backend is slow: ${command}`, async () => {
        await using world = await createWorld();
        const { id } = await world.seed();
        world.host.intercept(({ kind }) => (kind === "lookup" ? "silence" : undefined));
        const args = command === "explain" ? [command, id] : [command];
        await using worker = await startWorker(world.env, args);
        await world.host.traffic.until("lookup", 1);
        await endsAtOnce(worker, stop);
      });
    }

    it(`exits with ${stop.exitCode} while the worker beside it does not answer: healthcheck`, async () => {
      await using silent = await silentServer();
      const env = { WATCHDOG_HEALTH_HOST: "127.0.0.1", WATCHDOG_HEALTH_PORT: String(silent.port) };
      await using worker = await startWorker(env, ["healthcheck"]);
      await silent.connected;
      await endsAtOnce(worker, stop);
    });
  });
}

describe("pause stopped by a signal", () => {
  it("lets its statement end, and says what came of it", async () => {
    await using world = await createWorld();
    const args = ["pause", "--for", "2h", "--reason", "moving the API"];
    await using lock = await lockTables(world);
    await using worker = await startWorker(world.env, args);
    await lock.waiting(1);
    worker.kill("SIGTERM");
    await lock.release();
    expect(await worker.exited, worker.stderr()).toEqual({ code: 0, signal: null });
    expect(worker.stdout()).toMatch(/^paused until /);
  });
});

/** Ten seconds after the signal it would end without a word. */
async function endsAtOnce(worker: WorkerProcess, { signal, exitCode }: Stop): Promise<void> {
  worker.kill(signal);
  expect(await worker.exited, worker.stderr()).toEqual({ code: exitCode, signal: null });
  expect(worker.stderr()).toBe(`run-watchdog: stopped by ${signal}\n`);
  expect(worker.stdout()).toBe("");
}

/** Whoever reads the worker's own tables waits. */
async function lockTables(world: World) {
  const { sql } = world.database;
  const holder = await sql.reserve();
  await holder`BEGIN`;
  await holder`LOCK TABLE watchdog.leadership, watchdog.suspicions, watchdog.verdicts`;
  let isHeld = true;
  const release = async () => {
    if (isHeld) await holder`COMMIT`;
    isHeld = false;
  };
  return {
    release,
    waiting: (count: number) =>
      vi.waitFor(async () => {
        const rows = await sql`
          SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        expect(rows).toHaveLength(count);
      }, 90_000),
    async [Symbol.asyncDispose]() {
      await release();
      holder.release();
    },
  };
}

async function silentServer() {
  const connected = Promise.withResolvers<void>();
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    connected.resolve();
  }).listen(0, "127.0.0.1");
  await vi.waitFor(() => expect(server.listening).toBe(true));
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    connected: connected.promise,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
