/** A PostgreSQL that can only be read: exit codes of `once`, and a daemon that finds the successor by itself. */
import { describe, expect, it } from "vitest";
import type { TestDatabase } from "../../services/postgres/database.ts";
import { endWatchdogSessions } from "../../services/postgres/server-sessions.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { askHealth, untilNotReady, untilReady } from "../../support/process/ask-health.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";

const RUNS = 3;
const JSON_ARGS = ["once", "--output", "json"];
const QUICK = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "2s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_LEASE_MARGIN: "200ms",
  WATCHDOG_DEFER: "1s",
};
const LEASES = [
  ["Postgres", () => ({})],
  ["Redis", () => ({ REDIS_URL: redisUrl() })],
] as const;

describe.each(LEASES)("with the lease in %s, once", (_, leaseEnv) => {
  it("exits with 69 when Postgres is read-only", async () => {
    await using world = await createWorld();
    await seedEnded(world, RUNS);
    await failOver(world.database);
    const ended = await runOnce({ ...world.env, ...leaseEnv() }, JSON_ARGS);
    expect(ended, ended.stderr).toMatchObject({ code: 69 });
    expect(ended.stderr).toContain("SQLSTATE 25006");
    expect(parseDocument(ended.stdout)).toMatchObject({ status: "unavailable" });
    expect(world.host.requests).toEqual([]);
  });

  it("exits with 1 when Postgres becomes read-only while the backend is asked", async () => {
    await using world = await createWorld();
    await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...leaseEnv() }, JSON_ARGS);
    await questions.asked(RUNS);
    await failOver(world.database);
    questions.answer();
    expect(await worker.exited, worker.stderr()).toEqual({ code: 1, signal: null });
    expect(worker.stderr()).toContain("SQLSTATE 25006");
    const document = parseDocument(worker.stdout());
    expect(document).toMatchObject({ status: "error", counts: { errors: 0 } });
    expect(await world.database.sql`SELECT FROM watchdog.verdicts`).toHaveLength(0);
  });
});

describe.each(LEASES)("with the lease in %s, run", (_, leaseEnv) => {
  it("survives a failover to a read-only server in the middle of a sweep, and its promotion", async () => {
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, ...leaseEnv() });
    await questions.asked(RUNS);
    await failOver(world.database);
    questions.answer();
    await untilNotReady(worker, /SQLSTATE 25006/);
    expect((await askHealth(worker, "/livez")).status).toBe(200);
    expect(await world.database.sql`SELECT FROM watchdog.verdicts`).toHaveLength(0);
    // The sessions that the worker has by now can only read for as long as they last.
    await readOnly(world.database, "off");
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });
});

/** Sessions end, and those that come after them can only read, as on a standby. */
async function failOver(database: TestDatabase): Promise<void> {
  await readOnly(database, "on");
  await endWatchdogSessions(database.sql);
}

async function readOnly({ sql, name }: TestDatabase, value: "on" | "off"): Promise<void> {
  await sql.unsafe(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`);
}
