import { mayPresume, WHOLE } from "../../rules/fleet/shard.ts";
import { forEachConcurrently } from "../concurrency/for-each-concurrently.ts";
import { LinkedController } from "../concurrency/linked-signal.ts";
import type { Clock } from "../ports.ts";
import type { Horizon, StaleQuery } from "../store-ports.ts";
import { GuardRounds, NO_FACTS } from "./guard-rounds.ts";
import { handleRun } from "./handle-run.ts";
import type { SweepContext, SweepOptions, SweepRequest } from "./model.ts";
import { SkippedRuns } from "./skipped-runs.ts";
import { runsToSweep } from "./stale-runs.ts";
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
export async function sweep(context: SweepContext, signal: AbortSignal): Promise<void> {
  const { store, clock, options, request, outcomes } = context;
  const { slots, fence } = context;
  // Where nothing is presumed, there is nothing to decide.
  const facts = mayPresume(request.shard ?? WHOLE)
    ? await store.guardFacts(options.guard.confirmations, 2 * request.intervalMs)
    : NO_FACTS;
  const writer = new RunWriter(context);
  const guard = new GuardRounds(context, writer, facts);
  const skipped = new SkippedRuns(context);
  const parts = { context, writer, guard, skipped };

  using scope = new LinkedController(signal);
  const rounds = repeatRounds(guard, clock, scope);
  try {
    await forEachConcurrently(
      runsToSweep(context),
      options.concurrency,
      async (runId, runSignal) => {
        const handle = () => handleRun(parts, runId, runSignal);
        const outcome = await (slots ? slots.run(fence.shard, handle, runSignal) : handle());
        if (outcome === null) await skipped.deferWhenMany();
        else outcomes.add(outcome);
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
export function queryOf(
  { nullDeadlineAfterMs, guard, policy }: SweepOptions,
  { runIds, overrideReason, shard = WHOLE }: SweepRequest,
  horizon: Horizon,
): StaleQuery {
  const includeSuspected = runIds !== null || overrideReason !== null;
  const query = { horizon, nullDeadlineAfterMs, includeSuspected };
  if (shard.count === 1) return query;
  const { confirmations } = guard;
  const { unverifiableAfterMs } = policy;
  return { ...query, part: { ...shard, confirmations, unverifiableAfterMs } };
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
