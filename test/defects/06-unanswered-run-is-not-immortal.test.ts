import { expect, it } from "vitest";
import { createWorld } from "../support/world/world.ts";

it("a run that nobody can answer for is asked ever more rarely, and given up after a day", async () => {
  await using world = await createWorld();
  const { sql } = world.database;
  // Its agent server still waits to be initialised, as it may for ever.
  // Its hard deadline has passed: looks are not put off beyond one that is still to come.
  const run = await world.seed({ startedAgoMs: 7_200_000 }, { initializing: true });
  const sweep = () => world.sweep({ runIds: [run.id] });

  for (const distanceS of [45, 90, 180, 360, 720, 900, 900]) {
    const [before] = await sql`SELECT now()::text AS now`;
    expect((await sweep()).counts).toMatchObject({ undetermined: 1 });
    const [row] = await sql`
      SELECT look_at BETWEEN ${before?.["now"]}::text::timestamptz + ${distanceS}::float8 * interval '1 s'
        AND now() + ${distanceS}::float8 * interval '1 s' AS deferred FROM watchdog.suspicions`;
    expect(row, `${distanceS} s`).toEqual({ deferred: true });
  }

  await sql`UPDATE automation_runs SET started_at = now() - interval '2 days'`;
  await sql`UPDATE watchdog.suspicions SET began_at = r.started_at FROM automation_runs r`;
  await sql`UPDATE watchdog.suspicions SET unknown_since = now() - interval '23 hours 59 minutes'`;
  expect((await sweep()).counts).toMatchObject({ undetermined: 1 });
  expect(await world.row(run.id)).toMatchObject({ status: "RUNNING", completed_at: null });

  await sql`UPDATE watchdog.suspicions SET unknown_since = now() - interval '24 hours'`;
  expect((await sweep()).counts).toMatchObject({ failed: 1 });
  expect((await world.row(run.id)).error_detail).toMatch(/^Timed out: could not be verified: /);
});
