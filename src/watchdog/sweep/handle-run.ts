import { causeOf } from "../../rules/cause.ts";
import { mayPresume, WHOLE } from "../../rules/fleet/shard.ts";
import type { Evidence, RunSnapshot, Verdict } from "../../rules/model.ts";
import { NO_SUCH_RUN, type RunOutcome, UNKNOWN_CAUSE } from "../../rules/report.ts";
import { askAgainInMs, CLEARED, inconclusive, observation } from "../../rules/suspicion.ts";
import { judge } from "../../rules/verdict.ts";
import type { GuardRounds } from "./guard-rounds.ts";
import type { Judged, SweepContext } from "./model.ts";
import type { SkippedRuns } from "./skipped-runs.ts";
import type { RunWriter } from "./write-run.ts";

export interface SweepParts {
  readonly context: SweepContext;
  readonly writer: RunWriter;
  readonly guard: GuardRounds;
  readonly skipped: SkippedRuns;
}

/**
 * What happens to one run, from its id to its outcome, or to the place where it waits for one.
 *
 * @param signal aborts when the sweep cannot go on; nothing is written any more then.
 * @returns `null` when the outcome has been told, or the guard or the collector of skipped runs will tell it.
 * @throws what ends the sweep. Any other error is the run's outcome.
 */
export async function handleRun(
  parts: SweepParts,
  runId: string,
  signal: AbortSignal,
): Promise<RunOutcome | null> {
  const { context, writer, skipped } = parts;
  const blockedReason = context.backend.api?.blockedReason ?? null;
  if (blockedReason !== null) return skipped.add(runId, blockedReason);
  let run: RunSnapshot | null = null;
  let outcome: RunOutcome | null;
  try {
    run = await context.store.read(runId, context.query);
    if (run?.stale) outcome = await act(parts, await ask(context, run, signal), signal);
    else outcome = notStale(parts, runId, run);
  } catch (error) {
    outcome = writer.threw(runId, error, signal);
  }
  if (outcome?.action === "error") await writer.noteError(outcome, run, signal);
  return outcome;
}

/** A named run that needs nothing is `skipped`; a listed one has changed since the page was read. */
function notStale(
  { context, guard }: SweepParts,
  runId: string,
  run: RunSnapshot | null,
): RunOutcome | null {
  if (run !== null) guard.leftAlone(run);
  const named = context.request.runIds !== null;
  const state = run === null ? NO_SUCH_RUN : `${run.status}, not past its deadline`;
  const action = named ? "skipped" : "lost-race";
  const reason = named ? state : null;
  const outcome: RunOutcome = { runId, action, basis: null, reason, verifyMs: null };
  if (run !== null || !named) return outcome;
  // Whoever mistyped an id must not be told that all is well.
  context.outcomes.addUnserved(outcome);
  return null;
}

async function ask(
  { backend, clock, options, query }: SweepContext,
  run: RunSnapshot,
  signal: AbortSignal,
): Promise<Judged> {
  const askedAtMs = clock.monotonicMs();
  const evidence = await backend.verify(run, signal);
  const verifyMs = Math.round(clock.monotonicMs() - askedAtMs);
  const verdict = judge(run, evidence, options.policy, query.horizon.ms);
  return { run, evidence, verdict, verifyMs };
}

function act(parts: SweepParts, judged: Judged, signal: AbortSignal): Promise<RunOutcome> | null {
  const { context, writer, guard, skipped } = parts;
  const { run, evidence, verdict, verifyMs } = judged;
  const { deferMs } = context.options;
  const { reason } = verdict;
  guard.heard(judged);
  switch (verdict.kind) {
    case "complete":
      return writer.end({ ...judged, verdict }, signal);
    case "fail":
      return verdict.basis === "presumption"
        ? presume(parts, { ...judged, verdict }, signal)
        : writer.end({ ...judged, verdict }, signal);
    case "defer": {
      const outcome = { action: "deferred", basis: null, reason, verifyMs } as const;
      const leaving = { run, deferMs, statusDetail: "null", suspicion: CLEARED, outcome };
      return writer.leave(leaving, signal);
    }
    case "undetermined": {
      const { statusDetail } = verdict;
      const cause = causeIn(evidence);
      const suspicion = inconclusive(run.suspicion, cause);
      const againInMs = askAgainInMs(suspicion.unknownTimes, deferMs);
      const outcome = { action: "undetermined", basis: null, reason: cause, verifyMs } as const;
      const leaving = { run, deferMs: againInMs, statusDetail, suspicion, outcome };
      return writer.leave(leaving, signal);
    }
    case "skip":
      return skipped.add(run.id, reason);
  }
}

/** Seen often enough, a presumption waits for the guard; before that it is a suspicion. */
function presume(
  { context, writer, guard }: SweepParts,
  judged: Judged<Extract<Verdict, { kind: "fail" }>>,
  signal: AbortSignal,
): Promise<RunOutcome> | null {
  const { run, evidence, verdict, verifyMs } = judged;
  const { basis, reason, needsConfirmation } = verdict;
  const { deferMs, guard: policy } = context.options;
  const suspicion = needsConfirmation
    ? observation(run.suspicion, reason, deferMs)
    : inconclusive(run.suspicion, causeIn(evidence));
  const isConfirmed = !needsConfirmation || suspicion.presumedTimes >= policy.confirmations;
  const isOurs = mayPresume(context.request.shard ?? WHOLE);
  if (isConfirmed && isOurs) return guard.setAside({ ...judged, suspicion });
  const outcome = { action: "suspected", basis, reason, verifyMs } as const;
  // The shard whose it is now takes it up at once.
  const againInMs = isConfirmed ? 0 : deferMs;
  const leaving = { run, deferMs: againInMs, statusDetail: null, suspicion, outcome };
  return writer.leave(leaving, signal);
}

function causeIn(evidence: Evidence): string {
  return "failure" in evidence ? causeOf(evidence.failure) : UNKNOWN_CAUSE;
}
