import { describe, expect, it } from "vitest";
import type { StaleQuery } from "../../../../src/watchdog/store-ports.ts";
import { type RunSeed, type SeededRun, seedAutomation, seedRuns } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  DAY_MS,
  deferring,
  horizonAt,
  openStores,
  queryNow,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const HORIZON = "2026-03-01T12:00:00.000500+00:00";

describe("PostgresRunStore.stalePage", () => {
  it("gives every stale id once and in order, whatever the size of a page", async () => {
    await using world = await setup();
    const deadlines = [
      "11:00:00",
      "11:30:00",
      "11:30:00",
      "11:30:00",
      "11:30:00.000001",
      "12:00:00",
    ];
    const timed = await world.seed(deadlines.map((time) => ({ timeoutAt: `2026-03-01T${time}Z` })));
    const untimed = await world.seed(
      Array.from({ length: 4 }, () => ({ timeoutAt: null, startedAgoMs: 400 * DAY_MS })),
    );
    const order = (a: SeededRun, b: SeededRun) => (a.id < b.id ? -1 : 1);
    const [first, , , , fifth, last] = timed;
    const expected = [first, ...timed.slice(1, 4).sort(order), fifth, last, ...untimed.sort(order)];
    const ids = expected.map((run) => run?.id);
    for (let size = 1; size <= ids.length + 1; size += 1) {
      expect(await world.pages(horizonAt(HORIZON), size)).toEqual(ids);
    }
  });

  it("tells deadlines apart that differ by a microsecond", async () => {
    await using world = await setup();
    const [second, first] = await world.seed([
      { timeoutAt: "2026-03-01T11:00:00.000002Z" },
      { timeoutAt: "2026-03-01T11:00:00.000001Z" },
    ]);
    expect(await world.pages(horizonAt(HORIZON), 1)).toEqual([first?.id, second?.id]);
  });

  it("leaves out a deadline at the horizon, and gives one a microsecond before it", async () => {
    await using world = await setup();
    const [before] = await world.seed([
      { timeoutAt: "2026-03-01T12:00:00.000499Z" },
      { timeoutAt: "2026-03-01T12:00:00.000500Z" },
      { timeoutAt: "2026-03-01T12:00:00.000501Z" },
    ]);
    expect(await world.pages(horizonAt(HORIZON), 10)).toEqual([before?.id]);
  });

  it("gives runs that are RUNNING and no others", async () => {
    await using world = await setup();
    const statuses = ["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "SKIPPED"];
    const overdue = await world.seed(statuses.map((status) => ({ status, overdueMs: DAY_MS })));
    const untimed = await world.seed(
      statuses.map((status) => ({ status, timeoutAt: null, startedAgoMs: 2 * DAY_MS })),
    );
    expect(await world.pages(await queryNow(world.stores), 10)).toEqual([
      overdue[1]?.id,
      untimed[1]?.id,
    ]);
  });

  it("gives a run without a deadline once it began longer ago than the limit, by a microsecond", async () => {
    await using world = await setup();
    const { sql } = world.database;
    const [beyond, at] = await world.seed([{ timeoutAt: null }, { timeoutAt: null }]);
    await sql`UPDATE automation_runs SET started_at = '2026-02-28T12:00:00.000499Z' WHERE id = ${beyond?.id ?? ""}`;
    await sql`UPDATE automation_runs SET started_at = '2026-02-28T12:00:00.000500Z' WHERE id = ${at?.id ?? ""}`;
    expect(await world.pages(horizonAt(HORIZON), 10)).toEqual([beyond?.id]);
  });

  it("counts from the creation of a run without a deadline that has not started", async () => {
    await using world = await setup();
    const [, created] = await world.seed([
      { timeoutAt: null, startedAgoMs: DAY_MS / 2, createdAgoMs: 2 * DAY_MS },
      { timeoutAt: null, startedAgoMs: null, createdAgoMs: 2 * DAY_MS },
      { timeoutAt: null, startedAgoMs: null, createdAgoMs: DAY_MS / 2 },
    ]);
    expect(await world.pages(await queryNow(world.stores), 10)).toEqual([created?.id]);
  });

  it("does not meet a run again that was deferred while the pages were read", async () => {
    await using world = await setup();
    const runs = await world.seed(
      Array.from({ length: 6 }, (_, index) => ({ overdueMs: 60_000 - index })),
    );
    const fence = await takeEpoch(world.stores);
    const query = await queryNow(world.stores);
    const met = await world.pages(query, 2, async (id) => {
      const run = await readRun(world.stores, id);
      // Backdated, so that a later `now()` would find it stale again.
      const write = deferring(run, { deferMs: 0 });
      expect(await world.stores.store.defer(write, fence)).toEqual({ kind: "written" });
    });
    expect(met).toEqual(runs.map(({ id }) => id));
  });

  it("goes on behind its cursor when the run it names has gone", async () => {
    await using world = await setup();
    const runs = await world.seed(
      Array.from({ length: 4 }, (_, index) => ({ overdueMs: 60_000 - index })),
    );
    const query = await queryNow(world.stores);
    const met = await world.pages(query, 1, async (id) => {
      await world.database.sql`DELETE FROM automation_runs WHERE id = ${id}`;
    });
    expect(met).toEqual(runs.map(({ id }) => id));
  });

  it("gives infinite deadlines in their place, and not the one that never comes", async () => {
    await using world = await setup();
    const [finite, past] = await world.seed([
      { timeoutAt: "2026-03-01T11:00:00Z" },
      { timeoutAt: "-infinity" },
      { timeoutAt: "infinity" },
    ]);
    expect(await world.pages(horizonAt(HORIZON), 1)).toEqual([past?.id, finite?.id]);
  });

  it("has no page behind an empty last one", async () => {
    await using world = await setup();
    const query = await queryNow(world.stores);
    const first = await world.stores.store.stalePage(query, null, 10);
    expect(first).toEqual({ ids: [], next: { part: "no-deadline", id: null } });
    expect(await world.stores.store.stalePage(query, first.next, 10)).toEqual({
      ids: [],
      next: null,
    });
  });
});

interface PagingWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly stores: TestStores;
  seed(seeds: readonly RunSeed[]): Promise<SeededRun[]>;
  /** The ids of all pages; `visit` is called for each before the next page is read. */
  pages(
    query: StaleQuery,
    size: number,
    visit?: (id: string) => Promise<void>,
  ): Promise<readonly string[]>;
}

async function setup(): Promise<PagingWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const stores = resources.use(openStores(database.connection));
  const of = await seedAutomation(database.sql);
  const opened = resources.move();
  return {
    database,
    stores,
    seed: async (seeds) => [
      ...(await seedRuns(
        database.sql,
        seeds.map((seed) => ({ of, ...seed })),
      )),
    ],
    async pages(query, size, visit = async () => undefined) {
      const ids: string[] = [];
      let page = await stores.store.stalePage(query, null, size);
      while (true) {
        expect(page.ids.length).toBeLessThanOrEqual(size);
        ids.push(...page.ids);
        for (const id of page.ids) await visit(id);
        if (page.next === null) return ids;
        page = await stores.store.stalePage(query, page.next, size);
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
