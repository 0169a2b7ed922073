import { describe, expect, it } from "vitest";
import { seedExited } from "../../../support/world/proven-runs.ts";
import { createWorld, type World } from "../../../support/world/world.ts";

const RUNS = 40;
/** Far more than it takes: in each sweep most of those that are left get through. */
const SWEEPS = 20;
const LEVELS = ["repeatable read", "serializable"] as const;

describe.each(LEVELS)("in a database whose transactions are %s", (level) => {
  it("a sweep over direct connections ends and cleans up everything, and nothing is busy", async () => {
    await using world = await setup(level);
    const report = await world.sweep();
    expect(report).toMatchObject({
      status: "ok",
      counts: { stale: RUNS, busy: 0, errors: 0 },
      cleanups: { done: RUNS, pending: 0 },
    });
    await expectOneVerdictEach(world);
  });

  it("sweeps by way of a pooler end everything once, although statements get into each other's way", async () => {
    await using world = await setup(level);
    for (let sweeps = 0; sweeps < SWEEPS && (await stillRunning(world)) > 0; sweeps += 1) {
      const report = await world.sweep({ env: { WATCHDOG_DB_POOLER: "on" } });
      expect(report.counts).toMatchObject({ errors: 0, lostRace: 0 });
    }
    await expectOneVerdictEach(world);
  });
});

async function setup(level: string): Promise<World> {
  const world = await createWorld();
  const { sql, name } = world.database;
  await sql.unsafe(`ALTER DATABASE ${name} SET default_transaction_isolation = '${level}'`);
  for (let index = 0; index < RUNS; index += 1) await seedExited(world, index % 2);
  return world;
}

async function stillRunning({ database: { sql } }: World): Promise<number> {
  return (await sql`SELECT FROM automation_runs WHERE status = 'RUNNING'`).length;
}

async function expectOneVerdictEach(world: World): Promise<void> {
  const { sql } = world.database;
  expect(await stillRunning(world)).toBe(0);
  const [journal] = await sql`
    SELECT count(*)::int AS rows, count(DISTINCT run_id)::int AS runs FROM watchdog.verdicts`;
  expect(journal).toEqual({ rows: RUNS, runs: RUNS });
}
