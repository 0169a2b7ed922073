import { resultOf, type SweepEnd } from "../../rules/exit-code.ts";
import type { Trigger } from "../../rules/model.ts";
import type { CleanupSummary, SweepReport } from "../../rules/report.ts";
import { Tally } from "./outcome-counter.ts";

export interface ReportFacts {
  readonly end: SweepEnd;
  readonly dryRun: boolean;
  readonly trigger: Trigger;
  readonly holder: string;
  readonly epoch: number | null;
  /** Unix milliseconds; the horizon when there is one. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Left out when nothing was swept. */
  readonly tally?: Tally;
  readonly cleanups?: CleanupSummary;
}

export function makeReport(facts: ReportFacts): SweepReport {
  const tally = facts.tally ?? new Tally();
  const durationMs = Math.round(facts.durationMs);
  const { status, exitCode } = resultOf(facts.end, tally.counts, tally.unasked);
  return {
    version: 1,
    status,
    exitCode,
    dryRun: facts.dryRun,
    trigger: facts.trigger,
    holder: facts.holder,
    epoch: facts.epoch,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    finishedAt: new Date(facts.startedAtMs + durationMs).toISOString(),
    durationMs,
    counts: tally.counts,
    cleanups: facts.cleanups ?? { done: 0, pending: 0, abandoned: 0 },
    runs: tally.runs,
    runsOmitted: tally.runsOmitted,
  };
}
