import { forEachConcurrently } from "./each.ts";
import type { RunStore, StaleQuery } from "./ports.ts";
import { RunSweep } from "./run-sweep.ts";
import { staleRuns } from "./stale-runs.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./sweep-model.ts";

/**
 * One pass over the stale runs: read ids in pages, then for each run re-read it, ask the backend, judge, write. No
 * transaction is open and no connection is held while the backend is asked; each write commits by itself. A run that
 * cannot be handled is counted as `error` and does not stop the others.
 *
 * @throws LeaseLostError, FencedError, StoreUnavailableError, StoreSchemaError or `signal.reason`: the sweep cannot go
 *   on. What was in flight has ended by then.
 */
export async function sweep(
  deps: SweepDeps,
  options: SweepOptions,
  term: SweepTerm,
  signal: AbortSignal,
): Promise<void> {
  const query = { horizon: term.horizon, nullDeadlineAfterMs: options.nullDeadlineAfterMs };
  const one = new RunSweep(deps, options, term, query);
  await forEachConcurrently(
    atMost(runsToSweep(deps.store, options, query), options.limit),
    options.concurrency,
    async (runId, runSignal) => {
      deps.onOutcome(await one.handle(runId, runSignal));
    },
    signal,
  );
}

async function* runsToSweep(store: RunStore, options: SweepOptions, query: StaleQuery) {
  if (options.runIds === null) yield* staleRuns(store, query, options.pageSize);
  else yield* new Set(options.runIds);
}

async function* atMost<T>(items: AsyncIterable<T>, limit: number | null) {
  if (limit === 0) return;
  let taken = 0;
  for await (const item of items) {
    yield item;
    taken += 1;
    if (taken === limit) return;
  }
}
