import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StatementRefusedError } from "../../../../src/io/postgres/connection/errors.ts";
import { CLEARED, observation } from "../../../../src/rules/suspicion.ts";
import { type RunSeed, seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  deferring,
  failing,
  horizonAt,
  openStores,
  queryNow,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WRITTEN = { kind: "written" };
const HORIZON = "2026-03-01T12:00:00.000500+00:00";
const DEADLINE = "2026-03-01T11:00:00.000007Z";
const PRESUMED = observation(null, "sandbox gone", 0);

let database: TestDatabase;
let stores: TestStores;

beforeAll(async () => {
  database = await createDatabase();
  stores = openStores(database.connection);
});

afterAll(async () => {
  await stores?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

describe("what PostgresRunStore remembers", () => {
  it("is written in the commit that moves the deadline, and forgotten in the one that ends the run", async () => {
    const { run, fence } = await setup();
    const write = deferring(run, { suspicion: PRESUMED });
    expect(await stores.store.defer(write, fence)).toEqual(WRITTEN);
    const [both] = await database.sql`
      SELECT r.xmin = s.xmin AS together, s.presumed_last_at = s.noted_at AS at_once
      FROM automation_runs r JOIN watchdog.suspicions s ON s.run_id = r.id WHERE r.id = ${run.id}`;
    expect(both).toEqual({ together: true, at_once: true });
    expect(await stores.store.apply(failing(await readRun(stores, run.id)), fence)).toEqual(
      WRITTEN,
    );
    expect(await rowsOf(run.id)).toEqual([]);
  });

  it.each([
    ["by a deferral", "defer"],
    ["by a deferral without a question", "deferSkipped"],
    ["by a failure", "noteError"],
  ] as const)("keeps the first deadline to the microsecond: %s", async (_, how) => {
    const { run, fence } = await setup({ timeoutAt: DEADLINE });
    const { store } = stores;
    if (how === "defer") await store.defer(deferring(run), fence);
    if (how === "deferSkipped") {
      await store.deferSkipped(
        [run.id],
        await queryNow(stores),
        { deferMs: 1000, shieldMs: 0 },
        fence,
      );
    }
    if (how === "noteError") {
      await store.noteError({ runId: run.id, cause: "c", retryInMs: 1000 }, fence);
    }
    const [row] = await database.sql`
      SELECT first_deadline_at = ${DEADLINE}::text::timestamptz AS exact
      FROM watchdog.suspicions WHERE run_id = ${run.id}`;
    expect(row).toEqual({ exact: true });
  });

  it("counts a run without a deadline as overdue from the limit on when it is skipped", async () => {
    const { run, fence } = await setup({ timeoutAt: null, startedAgoMs: 90_000_000 });
    await stores.store.deferSkipped(
      [run.id],
      await queryNow(stores),
      { deferMs: 1000, shieldMs: 0 },
      fence,
    );
    const [row] = await database.sql`
      SELECT s.first_deadline_at = r.started_at + interval '1 day' AS exact
      FROM watchdog.suspicions s JOIN automation_runs r ON r.id = s.run_id WHERE r.id = ${run.id}`;
    expect(row).toEqual({ exact: true });
  });

  it.each([
    ["a microsecond after the horizon", "2026-03-01T12:00:00.000501Z", false],
    ["at the horizon", "2026-03-01T12:00:00.000500Z", true],
  ])("keeps a failure from the pages until its time has come: %s", async (_, retryAt, given) => {
    const { run, fence } = await setup({ timeoutAt: DEADLINE });
    await stores.store.noteError({ runId: run.id, cause: "c", retryInMs: 1000 }, fence);
    await database.sql`
      UPDATE watchdog.suspicions SET error_retry_at = ${retryAt}::text::timestamptz
      WHERE run_id = ${run.id}`;
    const { ids } = await stores.store.stalePage(horizonAt(HORIZON), null, 100);
    expect(ids.includes(run.id)).toBe(given);
  });

  it.each([
    ["a microsecond before the horizon", "2026-03-01T12:00:00.000499Z", true],
    ["at the horizon", "2026-03-01T12:00:00.000500Z", false],
  ])("gives as suspected what was noted %s", async (_, notedAt, given) => {
    const { run, fence } = await setup();
    await stores.store.defer(deferring(run, { suspicion: PRESUMED }), fence);
    await database.sql`
      UPDATE watchdog.suspicions SET noted_at = ${notedAt}::text::timestamptz
      WHERE run_id = ${run.id}`;
    const query = { ...horizonAt(HORIZON), includeSuspected: true };
    const { ids } = await stores.store.stalePage(query, { part: "suspected", id: null }, 100);
    expect(ids.includes(run.id)).toBe(given);
  });

  it("survives a clock that was set back: the last observation is just now", async () => {
    const { run, fence } = await setup();
    await stores.store.defer(deferring(run, { suspicion: PRESUMED }), fence);
    await database.sql`
      UPDATE watchdog.suspicions SET presumed_last_at = now() + interval '1 hour'
      WHERE run_id = ${run.id}`;
    expect((await readRun(stores, run.id)).suspicion).toMatchObject({ sincePresumedMs: 0 });
  });

  it("does without the column status_detail where the host has none", async () => {
    await using older = await createDatabase();
    const { id } = await seedRun(older.sql);
    await older.sql`ALTER TABLE automation_runs DROP COLUMN status_detail`;
    await using own = openStores(older.connection);
    const fence = await takeEpoch(own);
    for (const statusDetail of [null, '{"kind": "timeout"}']) {
      const write = deferring(await readRun(own, id), { statusDetail, suspicion: CLEARED });
      expect(await own.store.defer(write, fence)).toEqual(WRITTEN);
    }
  });

  it("refuses a cause that cannot be stored, without repeating it", async () => {
    const { run, fence } = await setup();
    const noting = stores.store.noteError({ runId: run.id, cause: "a\0b", retryInMs: 1 }, fence);
    await expect(noting).rejects.toThrow(StatementRefusedError);
    await expect(noting).rejects.toThrow(/^noting a failure: SQLSTATE 22021$/);
  });
});

async function setup(seed: RunSeed = {}) {
  const { id } = await seedRun(database.sql, seed);
  return { run: await readRun(stores, id), fence: await takeEpoch(stores) };
}

function rowsOf(runId: string) {
  return database.sql`SELECT run_id FROM watchdog.suspicions WHERE run_id = ${runId}`;
}
