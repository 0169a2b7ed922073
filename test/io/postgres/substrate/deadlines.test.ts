import { describe, expect, it } from "vitest";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { deferring, openStores, readRun, takeEpoch } from "../../../support/stands/stores.ts";
import { seedExited } from "../../../support/world/proven-runs.ts";
import { createWorld, exitedWith, randomCommandId } from "../../../support/world/world.ts";

/** What a timestamptz may hold beside the times of our days. */
const PAST = [
  "-infinity",
  "4713-01-01 00:00:00+00 BC",
  "0044-03-15 12:00:00.000001+00 BC",
  "0001-01-01 00:00:00+00",
  "1883-11-18 12:03:57.999999-04:56:02",
  "1969-12-31 23:59:59.999999+00",
];
const FUTURE = ["infinity", "294276-12-31 23:59:59.999999+00", "10000-01-01 00:00:00+00"];

describe("a deadline of", () => {
  it.each(PAST)("%s is overdue: the run gets its verdict", async (timeoutAt) => {
    await using world = await createWorld();
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(0, { bashCommandId })];
    const { id } = await world.seed({ bashCommandId, timeoutAt }, { outputs });
    const later = await seedExited(world, 1);
    const report = await world.sweep();
    expect(report).toMatchObject({ status: "ok", counts: { completed: 1, failed: 1, errors: 0 } });
    expect(report.runs.map(({ runId }) => runId).sort()).toEqual([id, later.id].sort());
    expect(await world.row(id)).toMatchObject({ status: "COMPLETED" });
  });

  it.each(["-infinity", "0044-03-15 12:00:00.000001+00 BC"])(
    "%s is moved on while the run is alive",
    async (timeoutAt) => {
      await using world = await createWorld();
      const { id } = await world.seed({ timeoutAt });
      expect(await world.sweep()).toMatchObject({ status: "ok", counts: { deferred: 1 } });
      const [row] = await world.database.sql`
      SELECT timeout_at > now() AND timeout_at < now() + interval '5 minutes' AS soon
      FROM automation_runs WHERE id = ${id}`;
      expect(row).toEqual({ soon: true });
    },
  );

  it.each(FUTURE)("%s has not come: the run is left alone", async (timeoutAt) => {
    await using world = await createWorld();
    const { id } = await world.seed({ timeoutAt });
    expect(await world.sweep()).toMatchObject({ status: "ok", counts: { stale: 0 } });
    expect(await world.sweep({ runIds: [id] })).toMatchObject({ counts: { skipped: 1 } });
    const [row] = await world.database.sql`
      SELECT timeout_at = ${timeoutAt}::text::timestamptz AS same FROM automation_runs`;
    expect(row).toEqual({ same: true });
    expect(world.host.requests).toEqual([]);
  });

  it.each(FUTURE)("%s is guarded, and never moved back", async (timeoutAt) => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql, { timeoutAt });
    const run = await readRun(stores, id);
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "written" });
    const [row] = await database.sql`
      SELECT timeout_at = ${timeoutAt}::text::timestamptz AS same FROM automation_runs`;
    expect(row).toEqual({ same: true });
    await database.sql`UPDATE automation_runs SET timeout_at = now() + interval '1 hour'`;
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "none" });
  });

  it.each(PAST)("%s is guarded to the microsecond", async (timeoutAt) => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql, { timeoutAt });
    const run = await readRun(stores, id);
    expect(await stores.store.facts(run, fence)).toMatchObject({ rowMatches: true });
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "written" });
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "none" });
  });
});

describe("a run that began", () => {
  it.each(["-infinity", "infinity", "0044-03-15 12:00:00+00 BC", "10000-01-01 00:00:00+00"])(
    "at %s gets a verdict on proof",
    async (startedAt) => {
      await using world = await createWorld();
      const { id } = await seedExited(world, 0);
      await world.database.sql`
        UPDATE automation_runs SET started_at = ${startedAt}::text::timestamptz WHERE id = ${id}`;
      expect(await world.sweep()).toMatchObject({ status: "ok", counts: { completed: 1 } });
    },
  );

  it.each(["-infinity", "infinity"])(
    "at %s and is alive does not stop the sweep",
    async (startedAt) => {
      await using world = await createWorld();
      const { id } = await world.seed();
      await world.database.sql`
      UPDATE automation_runs SET started_at = ${startedAt}::text::timestamptz WHERE id = ${id}`;
      const ended = await seedExited(world, 1);
      const report = await world.sweep();
      expect(report.status).toMatch(/^(ok|held)$/);
      expect(report.counts).toMatchObject({ stale: 2, errors: 0 });
      expect(await world.row(ended.id)).toMatchObject({ status: "FAILED" });
    },
  );
});
