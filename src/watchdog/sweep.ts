import type { Trigger, VerdictPolicy } from "../rules/model.ts";
import type { RunOutcome } from "../rules/report.ts";
import { forEachConcurrently } from "./each.ts";
import type { Backend, Clock, Fence, Horizon, Log, RunStore, StaleQuery } from "./ports.ts";
import { RunSweep } from "./run-sweep.ts";
import { staleRuns } from "./stale-runs.ts";

export interface SweepDeps {
  readonly store: RunStore;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once per run, when it has ended. */
  readonly onOutcome: (outcome: RunOutcome) => void;
  /** Called after each statement or question that came to an end: the sweep is alive. */
  readonly onProgress: () => void;
}

export interface SweepOptions {
  readonly concurrency: number;
  readonly pageSize: number;
  readonly deferMs: number;
  readonly nullDeadlineAfterMs: number;
  readonly cleanupDelayMs: number;
  readonly policy: VerdictPolicy;
  /** Only these runs; `null` for all. */
  readonly runIds: readonly string[] | null;
  /** At most this many runs; `null` for all. */
  readonly limit: number | null;
}

/** The right to sweep, and the moment everything is compared with. */
export interface SweepTerm {
  readonly fence: Fence;
  readonly holder: string;
  readonly trigger: Trigger;
  readonly horizon: Horizon;
}

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
