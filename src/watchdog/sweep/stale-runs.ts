import type { PageCursor, RunStore, StalePage, StaleQuery } from "../store-ports.ts";
import type { SweepContext } from "./model.ts";

/** The ids of the runs that a sweep takes up: those that were named, or all stale ones, up to its limit. */
export function runsToSweep(
  context: Pick<SweepContext, "store" | "options" | "request" | "query">,
): AsyncGenerator<string, void, void> {
  const { store, options, request, query } = context;
  const { runIds, limit } = request;
  const ids = runIds === null ? staleRuns(store, query, options.pageSize) : eachOnce(runIds);
  return limit === null ? ids : first(limit, ids);
}

async function* eachOnce(ids: readonly string[]): AsyncGenerator<string, void, void> {
  yield* new Set(ids);
}

async function* first(
  limit: number,
  ids: AsyncIterable<string>,
): AsyncGenerator<string, void, void> {
  if (limit === 0) return;
  let taken = 0;
  for await (const id of ids) {
    yield id;
    taken += 1;
    if (taken === limit) return;
  }
}

/**
 * The ids of all stale runs, oldest deadline first. While one page is worked on the next is already being read, and
 * nothing waits for the end of a page.
 */
export async function* staleRuns(
  store: RunStore,
  query: StaleQuery,
  pageSize: number,
): AsyncGenerator<string, void, void> {
  let page = await store.stalePage(query, null, pageSize);
  while (true) {
    const next = page.next === null ? null : prefetch(store, query, page.next, pageSize);
    yield* page.ids;
    if (next === null) return;
    page = await next;
  }
}

function prefetch(
  store: RunStore,
  query: StaleQuery,
  cursor: PageCursor,
  pageSize: number,
): Promise<StalePage> {
  const page = store.stalePage(query, cursor, pageSize);
  // When no more ids are taken nobody awaits this promise, and its failure does not matter.
  page.catch(() => {});
  return page;
}
