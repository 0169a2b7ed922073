/** Exit codes 143 and 130: stopped by a signal, after what was in flight has ended. */
import { describe, expect, it, vi } from "vitest";
import { holdPostgresLease } from "../../support/process/held-lease.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const JSON_ARGS = ["once", "--output", "json"];
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };
const SIGNALS = [
  { signal: "SIGTERM", exitCode: 143 },
  { signal: "SIGINT", exitCode: 130 },
] as const;

for (const { signal, exitCode } of SIGNALS) {
  describe(`once stopped by ${signal}`, () => {
    it(`lets a write in flight end, aborts questions, and exits with ${exitCode}`, async () => {
      await using world = await createWorld();
      const written = await seedExited(world);
      const asked = await world.seed();
      const before = await world.row(asked.id);
      world.host.intercept(({ kind, sandboxId }) =>
        kind === "lookup" && sandboxId === asked.sandboxId ? "silence" : undefined,
      );
      await using gate = await holdWrites(world);
      await using worker = await startWorker(world.env, JSON_ARGS);
      await gate.waiting();
      await world.host.traffic.until("lookup", 2);
      worker.kill(signal);
      await vi.waitFor(() => expect(world.host.traffic.of("lookup").inFlight).toBe(0), 5000);
      expect((await world.row(written.id)).status).toBe("RUNNING");
      await gate.open();
      expect(await worker.exited, worker.stderr()).toEqual({ code: exitCode, signal: null });
      const report = parseDocument(worker.stdout());
      expect(report).toMatchObject({ status: "interrupted", exitCode, counts: { failed: 1 } });
      expect((await world.row(written.id)).status).toBe("FAILED");
      expect(await world.row(asked.id)).toEqual(before);
      expect(await leaseIsFree(world)).toBe(true);
    });

    it(`exits with ${exitCode} while it waits for the lease`, async () => {
      await using world = await createWorld();
      await holdPostgresLease(world.database.sql);
      await using worker = await startWorker(world.env, [...JSON_ARGS, "--wait", "5m"]);
      await worker.waitForLog("waiting for the lease");
      worker.kill(signal);
      expect(await worker.exited, worker.stderr()).toEqual({ code: exitCode, signal: null });
      expect(parseDocument(worker.stdout())).toMatchObject({
        status: "interrupted",
        exitCode,
        epoch: null,
        counts: { stale: 0 },
      });
    });

    it(`exits with ${exitCode} while it migrates, and takes its statement with it`, async () => {
      await using world = await createWorld();
      const { sql } = world.database;
      const holder = await sql.reserve();
      await holder`SELECT pg_advisory_lock(7263195421)`;
      const { DATABASE_URL = "" } = world.env;
      await using worker = await startWorker({ DATABASE_URL }, ["migrate"]);
      const waiting = () => sql`
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      await vi.waitFor(async () => expect(await waiting()).toHaveLength(1), 20_000);
      worker.kill(signal);
      expect(await worker.exited, worker.stderr()).toEqual({ code: exitCode, signal: null });
      expect(worker.stderr()).toBe(`run-watchdog: stopped by ${signal}\n`);
      await vi.waitFor(async () => expect(await waiting()).toHaveLength(0), 20_000);
      holder.release();
    });

    it(`exits with ${exitCode} in a dry run`, async () => {
      await using world = await createWorld();
      await world.seed();
      world.host.intercept(({ kind }) => (kind === "lookup" ? "silence" : undefined));
      await using worker = await startWorker(world.env, [...JSON_ARGS, "--dry-run"]);
      await world.host.traffic.until("lookup", 1);
      worker.kill(signal);
      expect(await worker.exited, worker.stderr()).toEqual({ code: exitCode, signal: null });
      expect(parseDocument(worker.stdout())).toMatchObject({ status: "interrupted", dryRun: true });
    });
  });
}

describe("run stopped by a signal", () => {
  it("exits with 0 after what was in flight has ended, and frees the lease", async () => {
    await using world = await createWorld();
    const { id } = await seedExited(world);
    await using gate = await holdWrites(world);
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await gate.waiting();
    worker.kill("SIGTERM");
    await gate.open();
    expect(await worker.exited, worker.stdout()).toEqual({ code: 0, signal: null });
    expect(worker.logs.at(-1)).toMatchObject({
      msg: "run-watchdog has stopped",
      reason: "stopped by SIGTERM",
    });
    expect((await world.row(id)).status).toBe("FAILED");
    expect(await leaseIsFree(world)).toBe(true);
  });

  it("exits at once with 143 at the second SIGTERM", async () => {
    await using world = await createWorld();
    await seedExited(world);
    await using gate = await holdWrites(world);
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await gate.waiting();
    worker.kill("SIGTERM");
    await worker.waitForLog("stopping, writes in flight end first");
    worker.kill("SIGTERM");
    expect(await worker.exited).toEqual({ code: 143, signal: null });
  });
});

/** Updates of runs wait inside the server until the gate is opened. */
async function holdWrites(world: World) {
  const { sql } = world.database;
  await sql.unsafe(`
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END $$;
    CREATE TRIGGER gate BEFORE UPDATE ON automation_runs FOR EACH ROW
      EXECUTE FUNCTION wait_at_gate()`);
  const guard = await sql.reserve();
  await guard`SELECT pg_advisory_lock(42)`;
  return {
    /** Settles when a write waits at the gate. */
    waiting: () =>
      vi.waitFor(async () => {
        const rows = await sql`
          SELECT pid FROM pg_stat_activity
          WHERE wait_event = 'advisory' AND datname = current_database()`;
        expect(rows).toHaveLength(1);
      }, 90_000),
    open: () => guard`SELECT pg_advisory_unlock(42)`,
    async [Symbol.asyncDispose]() {
      await guard`SELECT pg_advisory_unlock_all()`;
      guard.release();
    },
  };
}

async function leaseIsFree(world: World): Promise<boolean> {
  const [row] = await world.database.sql<{ readonly free: boolean }[]>`
    SELECT lease_expires_at IS NULL AS free FROM watchdog.leadership`;
  return row?.free === true;
}

function seedExited(world: World) {
  const bashCommandId = randomCommandId();
  return world.seed({ bashCommandId }, { outputs: [exitedWith(9, { bashCommandId })] });
}
