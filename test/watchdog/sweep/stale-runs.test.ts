import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { PageCursor, StalePage, StaleQuery } from "../../../src/watchdog/store-ports.ts";
import { staleRuns } from "../../../src/watchdog/sweep/stale-runs.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { sweepWorld } from "../../support/stands/sweep-world.ts";

const DAY_MS = 86_400_000;

describe("staleRuns", () => {
  for (const { pageSize, pages } of [
    { pageSize: 1, pages: "pages of one run" },
    { pageSize: 2, pages: "pages that come out even" },
    { pageSize: 3, pages: "pages that do not come out even" },
    { pageSize: 100, pages: "one page" },
  ]) {
    it(`reads all stale runs in ${pages}: by deadline, then those without one`, async () => {
      const { store, db, query } = world();
      db.add({ timeoutAtMs: null, beganAtMs: query.horizon.ms - DAY_MS - 1 });
      db.add({ timeoutAtMs: query.horizon.ms - 1 });
      db.add({ timeoutAtMs: query.horizon.ms - 3 });
      db.add({ timeoutAtMs: query.horizon.ms - 3 });
      db.add({ timeoutAtMs: query.horizon.ms });
      db.add({ timeoutAtMs: null, beganAtMs: query.horizon.ms - DAY_MS });
      db.add({ status: "COMPLETED" });
      db.add({ timeoutAtMs: null, beganAtMs: query.horizon.ms - DAY_MS - 2 });
      const ids = await all(staleRuns(store, query, pageSize));
      expect(ids.map((id) => Number(id.slice(4)))).toEqual([3, 4, 2, 1, 8]);
    });
  }

  it("reads nothing before the first run is asked for", async () => {
    const { store, query } = world();
    const read = vi.spyOn(store, "stalePage");
    const runs = staleRuns(store, query, 10);
    await settle();
    expect(read).not.toHaveBeenCalled();
    await runs.next();
    expect(read).toHaveBeenCalled();
  });

  it("reads exactly one page ahead", async () => {
    const { runs, cursors } = paged([["a", "b"], ["c"], ["d"]]);
    await runs.next();
    expect(cursors).toEqual([null, 1]);
    await runs.next();
    await settle();
    expect(cursors).toEqual([null, 1]);
    await runs.next();
    expect(cursors).toEqual([null, 1, 2]);
  });

  it("gives out a page while the next one is still on its way", async () => {
    const { runs, answers } = paged([["a", "b"], ["c"]]);
    answers[1] = new Promise(() => {});
    expect((await runs.next()).value).toBe("a");
    expect((await runs.next()).value).toBe("b");
  });

  it("goes on behind an empty page", async () => {
    const { runs } = paged([[], ["a"], [], ["b"]]);
    expect(await all(runs)).toEqual(["a", "b"]);
  });

  it("asks with the same horizon for every page", async () => {
    const { runs, queries, query } = paged([["a"], ["b"], ["c"]]);
    await all(runs);
    expect(queries).toEqual([query, query, query]);
  });

  it("gives out the runs it has before the next page's failure arrives", async () => {
    const { runs, answers } = paged([["a", "b"], ["c"]]);
    answers[1] = Promise.reject(LOST);
    expect((await runs.next()).value).toBe("a");
    await settle();
    expect((await runs.next()).value).toBe("b");
    await expect(runs.next()).rejects.toBe(LOST);
  });

  it("leaves a failing page alone once nobody wants it", async () => {
    const { runs, answers } = paged([["a"], ["c"]]);
    const late = Promise.withResolvers<StalePage>();
    answers[1] = late.promise;
    await runs.next();
    await runs.return();
    late.reject(LOST);
    // An unhandled rejection would fail the run of the tests.
    await settle();
  });
});

const LOST = new StoreUnavailableError("the connection was lost");

async function all(runs: AsyncIterable<string>): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const id of runs) ids.push(id);
  return ids;
}

function world() {
  const { store, db } = sweepWorld();
  const ms = db.nowMs();
  const query: StaleQuery = {
    horizon: { text: db.nowText(), ms },
    nullDeadlineAfterMs: DAY_MS,
    includeSuspected: false,
  };
  return { store, db, query };
}

/** A store with these pages; a test may replace their answers before they are asked for. */
function paged(pages: readonly (readonly string[])[]) {
  const { store, query } = world();
  const cursors: (number | null)[] = [];
  const queries: StaleQuery[] = [];
  const answers = pages.map((ids, index): Promise<StalePage> => {
    const next: PageCursor = { part: "due", dueAt: "at", id: String(index + 1) };
    return Promise.resolve({ ids, next: index + 1 < pages.length ? next : null });
  });
  // Not a spy: it would take care of the rejections that nobody else does.
  store.stalePage = (asked, cursor) => {
    const index = Number(cursor?.id ?? 0);
    cursors.push(cursor === null ? null : index);
    queries.push(asked);
    return answers[index] ?? Promise.reject(new Error("there is no such page"));
  };
  return { runs: staleRuns(store, query, 2), answers, cursors, queries, query };
}
