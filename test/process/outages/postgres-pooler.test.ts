/** The program behind a real PgBouncer in transaction mode. */
import { describe, expect, it } from "vitest";
import {
  HAS_PGBOUNCER,
  lookIntoSession,
  startPgBouncer,
} from "../../services/pgbouncer/pgbouncer.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";

const RUNS = 5;
const JSON_ARGS = ["once", "--output", "json"];
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *", WATCHDOG_DEFER: "1s" };

describe.runIf(HAS_PGBOUNCER)("once behind PgBouncer", () => {
  it.each([
    ["auto", /the database endpoint refuses start-up parameters.*WATCHDOG_DB_POOLER=on/],
    ["on", /^(?!.*start-up parameters)/s],
  ])("exits with 0 when WATCHDOG_DB_POOLER is %s", async (pooler, said) => {
    await using world = await setup();
    const ids = await seedEnded(world, RUNS);
    const ended = await runOnce({ ...world.behind, WATCHDOG_DB_POOLER: pooler }, JSON_ARGS);
    expect(ended, ended.stderr).toMatchObject({ code: 0 });
    expect(ended.stderr).toMatch(said);
    expect(parseDocument(ended.stdout)).toMatchObject({ status: "ok", counts: { stale: RUNS } });
    await untilEachEndedOnce(world, ids);
  });

  it("exits with 69 and names the remedy when WATCHDOG_DB_POOLER is off", async () => {
    await using world = await setup();
    const ended = await runOnce({ ...world.behind, WATCHDOG_DB_POOLER: "off" }, JSON_ARGS);
    expect(ended).toMatchObject({ code: 69 });
    expect(ended.stderr).toMatch(/unsupported startup parameter.*set WATCHDOG_DB_POOLER=on/);
    expect(parseDocument(ended.stdout)).toMatchObject({ status: "unavailable" });
  });
});

describe.runIf(HAS_PGBOUNCER)("two workers that share one server session", () => {
  it("end each run once and leave nothing in the session", async () => {
    await using world = await setup();
    const { pid } = await world.session();
    const ids = await seedEnded(world, RUNS);
    await using first = await startWorker({ ...world.behind, ...EVERY_SECOND });
    await using second = await startWorker({ ...world.behind, ...EVERY_SECOND });
    await untilEachEndedOnce(world, ids);
    const more = await seedEnded(world, RUNS);
    first.kill("SIGTERM");
    expect(await first.exited).toEqual({ code: 0, signal: null });
    await untilEachEndedOnce(world, [...ids, ...more]);
    second.kill("SIGTERM");
    expect(await second.exited).toEqual({ code: 0, signal: null });
    expect(await world.session()).toEqual({ pid, leftBehind: [] });
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const world = resources.use(await createWorld());
  const settings = { default_pool_size: "1", server_idle_timeout: "600" };
  const pooler = resources.use(await startPgBouncer(settings));
  const opened = resources.move();
  return {
    ...world,
    behind: { ...world.env, DATABASE_URL: pooler.url(world.database.url) },
    session: () => lookIntoSession(pooler, world.database),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
