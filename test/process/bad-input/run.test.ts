/** The worker never exits for something it learned from Postgres: it says what is missing and waits for it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, it, vi } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import { askHealth, untilNotReady, untilReady } from "../../support/process/ask-health.ts";
import { runOnce, startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { createWorld } from "../../support/world/world.ts";

const QUICK = { WATCHDOG_SCHEDULE: "* * * * * *", LOG_LEVEL: "debug" };
const HOST_TABLES = join(import.meta.dirname, "..", "..", "..", "drizzle", "host", "0000_host.sql");

describe("run on a database that does not fit", () => {
  it("says once per change what is missing, and becomes ready when it is there", async () => {
    await using world = await createWorld({ migrate: false, hostTables: false });
    const { sql } = world.database;
    await using worker = await startWorker({ ...world.env, ...QUICK });
    await untilNotReady(worker, /run `run-watchdog migrate`.*automation_runs is missing/);
    await untilTriedAgain(worker);
    expect(errors(worker)).toEqual([expect.stringMatching(/automation_runs is missing/)]);
    expect(await askHealth(worker, "/livez")).toMatchObject({ status: 200 });
    expect(await askHealth(worker, "/health")).toMatchObject({ body: { status: "degraded" } });

    await sql.unsafe(await readFile(HOST_TABLES, "utf8"));
    await untilNotReady(worker, /^postgres: the worker's tables are missing[^;]*$/);
    await untilTriedAgain(worker);
    expect(errors(worker)).toHaveLength(2);

    const { id } = await world.seed({}, { status: "MISSING" });
    const { DATABASE_URL = "" } = world.env;
    expect((await runOnce({ DATABASE_URL }, ["migrate"])).code).toBe(0);
    await untilReady(worker);
    await worker.waitForLog("stores answer again");
    await vi.waitFor(async () => expect((await world.row(id)).status).toBe("FAILED"), 90_000);
    expect(errors(worker)).toHaveLength(2);
  });

  it("says it again when the same thing is missing after it was mended", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    await using worker = await startWorker({ ...world.env, ...QUICK });
    await untilReady(worker);
    for (const times of [1, 2]) {
      await sql`ALTER TABLE automation_runs RENAME TO away`;
      await untilNotReady(worker, /automation_runs is missing/);
      await sql`ALTER TABLE away RENAME TO automation_runs`;
      await untilReady(worker);
      // Ready from the first statement of a sweep on, mended when that has ended.
      const mended = () => worker.logs.filter(({ msg }) => msg === "stores answer again").length;
      await vi.waitFor(() => expect(mended()).toBeGreaterThanOrEqual(times), 90_000);
      expect(errors(worker).filter((text) => text.includes("missing"))).toHaveLength(times);
    }
  });
});

describe("secrets", () => {
  it("are neither logged at LOG_LEVEL=trace nor shown by the health endpoint", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await world.seed();
    const password = "hunter2-redis";
    const admin = new Redis(redis.url);
    await admin.config("SET", "requirepass", "another one");
    admin.disconnect();
    const url = new URL(world.database.url);
    const env = {
      ...world.env,
      ...QUICK,
      LOG_LEVEL: "trace",
      REDIS_URL: `redis://:${password}@127.0.0.1:${redis.port}/0`,
    };
    await using worker = await startWorker(env);
    await untilNotReady(worker, /^lease: .*WRONGPASS/);
    const shown = [
      await askHealth(worker, "/health"),
      await askHealth(worker, "/readyz"),
      await askHealth(worker, "/livez"),
    ];
    const everything = `${worker.stdout()}${worker.stderr()}${JSON.stringify(shown)}`;
    expect(everything).toContain("127.0.0.1");
    for (const secret of [password, url.password, world.host.serviceKey]) {
      if (secret !== "") expect(everything).not.toContain(secret);
    }
  });

  it("are not logged by a sweep that asks, writes and fails", async () => {
    await using world = await createWorld();
    await world.seed();
    await world.seed({}, { status: "MISSING" });
    world.host.intercept(({ kind }) => (kind === "delete" ? { status: 500 } : undefined));
    const env = { ...world.env, LOG_LEVEL: "trace", WATCHDOG_CLEANUP_DELAY: "0s" };
    const { stdout, stderr } = await runOnce(env, ["once"]);
    const keys = world.host.requests.flatMap(({ headers }) => [
      headers.authorization?.replace("Bearer ", ""),
      headers["x-session-api-key"],
    ]);
    const secrets = [...keys, world.host.serviceKey, new URL(world.database.url).password];
    expect(keys.filter(Boolean).length).toBeGreaterThan(1);
    for (const secret of secrets) {
      if (secret) expect(`${stdout}${stderr}`).not.toContain(secret);
    }
  });
});

/** What was logged as an error about not being ready. */
function errors(worker: WorkerProcess): readonly string[] {
  return worker.logs
    .filter(({ level, msg }) => level === "error" && /^(not ready|cannot sweep)$/.test(msg))
    .map(({ err }) => String(Reflect.get(Object(err), "message")));
}

/** Settles when it was tried twice more. */
async function untilTriedAgain(worker: WorkerProcess): Promise<void> {
  const tried = () =>
    worker.logs.filter(({ msg }) => msg === "not ready" || msg === "cannot sweep").length;
  const before = tried();
  await vi.waitFor(() => expect(tried()).toBeGreaterThan(before + 1), 90_000);
}
