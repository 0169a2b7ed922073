import type { Action, Basis, Trigger } from "./model.ts";

export type SweepStatus =
  | "ok"
  | "partial"
  | "held"
  | "lease-held"
  | "unavailable"
  | "interrupted"
  | "error";

/** What became of one run; `verifyMs` is `null` when the backend was not asked. */
export interface RunOutcome {
  readonly runId: string;
  readonly action: Action;
  readonly basis: Basis | null;
  /** Fixed vocabulary, never a tenant's text. */
  readonly reason: string | null;
  readonly verifyMs: number | null;
}

/** `stale` counts the runs the sweep took up; every one of them is in exactly one of the others. */
export interface SweepCounts {
  readonly stale: number;
  readonly completed: number;
  readonly failed: number;
  readonly deferred: number;
  readonly suspected: number;
  readonly undetermined: number;
  readonly lostRace: number;
  readonly busy: number;
  readonly held: number;
  readonly skipped: number;
  readonly errors: number;
}

/** `done` and `abandoned` in this sweep; `pending` is what the journal holds at its end. */
export interface CleanupSummary {
  readonly done: number;
  readonly pending: number;
  readonly abandoned: number;
}

/** One sweep, for people, scripts and health. Version 1 of the JSON document, in its order of keys. */
export interface SweepReport {
  readonly version: 1;
  readonly status: SweepStatus;
  readonly exitCode: number;
  readonly dryRun: boolean;
  readonly trigger: Trigger;
  readonly holder: string;
  /** `null` when the sweep took no epoch: a dry run, or nothing was swept. */
  readonly epoch: number | null;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly durationMs: number;
  readonly counts: SweepCounts;
  readonly cleanups: CleanupSummary;
  /** The first 1,000 runs in the order they ended. */
  readonly runs: readonly RunOutcome[];
  readonly runsOmitted: number;
}
