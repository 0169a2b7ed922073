import { resultOf, type SweepEnd } from "../../rules/exit-code.ts";
import type { Trigger } from "../../rules/model.ts";
import type { CleanupSummary, SweepReport } from "../../rules/report.ts";
import { OutcomeCounter } from "./outcome-counter.ts";

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
  readonly counter?: OutcomeCounter;
  readonly cleanups?: CleanupSummary;
}

export function makeReport(facts: ReportFacts): SweepReport {
  const counter = facts.counter ?? new OutcomeCounter();
  const durationMs = Math.round(facts.durationMs);
  const { status, exitCode } = resultOf(facts.end, counter.counts, counter.blocked);
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
    counts: counter.counts,
    cleanups: facts.cleanups ?? { done: 0, pending: 0, abandoned: 0 },
    runs: counter.runs,
    runsOmitted: counter.runsOmitted,
  };
}
