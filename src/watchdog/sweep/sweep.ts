import { forEachConcurrently } from "../concurrency/for-each-concurrently.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import type { Clock } from "../ports.ts";
import type { RunStore, StaleQuery } from "../store-ports.ts";
import { GuardRounds } from "./guard-rounds.ts";
import { RunSweep } from "./handle-run.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./model.ts";
import { SkippedRuns } from "./skipped-runs.ts";
import { staleRuns } from "./stale-runs.ts";
import { RunWriter } from "./write-run.ts";

/**
 * One pass over the stale runs: read ids in pages, then for each run re-read it, ask the backend, judge, write. No
 * transaction is open and no connection is held while the backend is asked; each write commits by itself. A run that
 * cannot be handled is counted as `error` and does not stop the others. Confirmed presumptions are set aside, and
 * written or held in rounds.
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
  const query = queryOf(options, term);
  const facts = await deps.store.guardFacts(options.guard.confirmations);
  const writer = new RunWriter(deps, options, term);
  const guard = new GuardRounds(deps, options, term, query, writer, facts);
  const skipped = new SkippedRuns(deps, options, term, query);
  const one = new RunSweep(deps, options, term, query, { writer, guard, skipped });

  using scope = new LinkedController(signal);
  const rounds = repeatRounds(guard, deps.clock, scope);
  try {
    await forEachConcurrently(
      atMost(runsToSweep(deps.store, options, query), options.limit),
      options.concurrency,
      async (runId, runSignal) => {
        const outcome = await one.handle(runId, runSignal);
        if (outcome !== null) deps.onOutcome(outcome);
        await skipped.deferWhenMany();
        await guard.roundWhenDue(runSignal);
      },
      scope.signal,
    );
    await skipped.defer();
    await guard.end(scope.signal);
  } finally {
    scope.abort(new Error("the sweep has ended"));
    await rounds;
  }
}

/** `--run` and an override look at suspected runs without waiting for the deadlines that were moved ahead. */
export function queryOf(options: SweepOptions, { horizon }: SweepTerm): StaleQuery {
  const { nullDeadlineAfterMs, runIds, overrideReason } = options;
  const includeSuspected = runIds !== null || overrideReason !== null;
  return { horizon, nullDeadlineAfterMs, includeSuspected };
}

const ROUND_EVERY_MS = 10_000;

/** Slots that wait for slow sandboxes must not keep verdicts waiting. Never rejects: a failure ends the scope. */
async function repeatRounds(
  guard: GuardRounds,
  clock: Clock,
  scope: LinkedController,
): Promise<void> {
  try {
    while (true) {
      await clock.sleep(ROUND_EVERY_MS, scope.signal);
      await guard.round(scope.signal);
    }
  } catch (error) {
    scope.abort(error);
  }
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
