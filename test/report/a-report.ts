import {
  countsOf,
  NOBODY_WAITS,
  type RunOutcome,
  type SweepCounts,
  type SweepReport,
  type WaitingCounts,
} from "../../src/rules/report.ts";

export const NO_COUNTS: SweepCounts = {
  stale: 0,
  completed: 0,
  failed: 0,
  deferred: 0,
  suspected: 0,
  undetermined: 0,
  lostRace: 0,
  busy: 0,
  held: 0,
  skipped: 0,
  errors: 0,
};

export const NONE_WAITING: WaitingCounts = countsOf(NOBODY_WAITS);

/** A sweep that found nothing, with these changes. */
export function aReport(changes: Partial<SweepReport> = {}): SweepReport {
  return {
    version: 1,
    status: "ok",
    exitCode: 0,
    dryRun: false,
    trigger: "once",
    holder: "host-1/4711/ab12",
    epoch: 7,
    startedAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:00:00.412Z",
    durationMs: 412,
    counts: NO_COUNTS,
    waiting: NONE_WAITING,
    message: null,
    cleanups: { done: 0, pending: 0, abandoned: 0 },
    runs: [],
    runsOmitted: 0,
    ...changes,
  };
}

export function anOutcome(runId: string, changes: Partial<RunOutcome> = {}): RunOutcome {
  return {
    runId,
    action: "failed",
    basis: "proof",
    reason: "exit_code=1",
    verifyMs: 38,
    ...changes,
  };
}
