import { describe, expect, it } from "vitest";
import { createWorld, type World } from "../support/world/world.ts";
import { atPoint } from "./interleavings.ts";
import {
  actionsOf,
  deleted,
  journal,
  type SampleRuns,
  seedSampleRuns,
  UNDISTURBED,
} from "./sample-runs.ts";

const AT_ONCE = { WATCHDOG_CLEANUP_DELAY: "0s" };
const VERDICTS = {
  completed: "COMPLETED",
  failed: "FAILED",
  presumed: "FAILED",
  deferred: "RUNNING",
  undetermined: "RUNNING",
};

describe("a host whose runs have neither status_detail nor a stamp", () => {
  it("gets every verdict, and its deferred runs a new deadline", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await dropNewColumns(world);
    await expectAllSwept(world, sample);
  });

  it("keeps what a writer leaves right before the write", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await dropNewColumns(world);
    await expectLostRaces(world, sample);
  });
});

describe("a host that lacks every optional column", () => {
  it("gets every verdict, and its deferred runs a new deadline", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await dropNewColumns(world);
    await world.database.sql.unsafe(`
      ALTER TABLE automations DROP COLUMN keep_alive, DROP COLUMN preset_metadata,
        DROP COLUMN updated_at;`);
    await expectAllSwept(world, sample);
  });
});

describe("a host whose table has other names, behind an updatable view", () => {
  it("gets every verdict, and its deferred runs a new deadline", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await hideBehindView(world);
    await expectAllSwept(world, sample);
    const states = await world.database.sql`SELECT id, state FROM jobs`;
    expect(new Map(states.map(({ id, state }) => [id, state]))).toEqual(
      new Map(outcomes(sample).map(([outcome, { id }]) => [id, VERDICTS[outcome]])),
    );
  });

  it("keeps what a writer leaves in its table right before the write", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await hideBehindView(world);
    await expectLostRaces(world, sample, "jobs", "state");
  });

  it("is not waited for when it holds the rows of its table", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    await hideBehindView(world);
    await world.database.sql.begin(async (transaction) => {
      await transaction`UPDATE jobs SET cost = 1`;
      expect((await world.sweep()).counts).toMatchObject({ busy: sample.runs.length, errors: 0 });
    });
    expect(await journal(world)).toEqual([]);
  });
});

/** As older hosts have it, such as 1.8.0. */
async function dropNewColumns({ database }: World): Promise<void> {
  await database.sql`
    ALTER TABLE automation_runs DROP COLUMN status_detail, DROP COLUMN sandbox_cleanup_due_at`;
}

/** The table and its most important column are called something else. */
async function hideBehindView({ database }: World): Promise<void> {
  await database.sql.unsafe(`
    ALTER TABLE automation_runs RENAME TO jobs;
    ALTER TABLE jobs RENAME COLUMN status TO state;
    CREATE VIEW automation_runs AS
      SELECT id, automation_id, state AS status, error_detail, created_at, started_at, completed_at,
             timeout_at, sandbox_id, bash_command_id, status_detail
      FROM jobs;`);
}

async function expectAllSwept(world: World, sample: SampleRuns): Promise<void> {
  const report = await world.sweep({ env: AT_ONCE });
  expect(report).toMatchObject({ status: "partial", cleanups: { done: 3, pending: 0 } });
  expect(actionsOf(report, sample)).toEqual(UNDISTURBED);
  const rows = await world.database.sql`
    SELECT id, status, timeout_at > now() AS deferred FROM automation_runs`;
  expect(new Map(rows.map(({ id, status, deferred }) => [id, { status, deferred }]))).toEqual(
    new Map(
      outcomes(sample).map(([outcome, { id }]) => [
        id,
        { status: VERDICTS[outcome], deferred: VERDICTS[outcome] === "RUNNING" },
      ]),
    ),
  );
  expect(await journal(world)).toHaveLength(3);
}

async function expectLostRaces(
  world: World,
  sample: SampleRuns,
  table = "automation_runs",
  status = "status",
): Promise<void> {
  const { sql } = world.database;
  const report = await world.sweep({
    env: AT_ONCE,
    replace: atPoint(
      "between the answer and the write",
      (runId) =>
        sql`UPDATE ${sql(table)} SET ${sql(status)} = 'COMPLETED', cost = 2 WHERE id = ${runId}`,
    ),
  });
  expect(report.counts).toMatchObject({ lostRace: sample.runs.length, errors: 0 });
  const rows = await sql`SELECT ${sql(status)} AS status, cost, error_detail FROM ${sql(table)}`;
  expect([...rows]).toEqual(
    sample.runs.map(() => ({ status: "COMPLETED", cost: 2, error_detail: null })),
  );
  expect(await journal(world)).toEqual([]);
  expect(deleted(world)).toEqual([]);
}

function outcomes({ byOutcome }: SampleRuns) {
  // The keys of an object literal, and nothing else.
  return Object.entries(byOutcome) as [
    keyof typeof byOutcome,
    (typeof byOutcome)[keyof typeof byOutcome],
  ][];
}
