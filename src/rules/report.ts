import type { Action, Basis, Trigger } from "./model.ts";

export type SweepStatus =
  | "ok"
  | "partial"
  | "held"
  | "lease-held"
  | "paused"
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

/** The reason of a run that was named and is not there. */
export const NO_SUCH_RUN = "no such run";

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

/**
 * What is known of a run that stays RUNNING: alive; seen dead too few times yet; confirmed dead and held back by the
 * guard; without a usable answer, or not asked about because the backend is not to be asked; its handling failed.
 */
export type WaitingState = "alive" | "suspected" | "held" | "unanswered" | "failing";

/** Runs that an earlier look left RUNNING, each in one state. */
export interface Waiting extends Readonly<Record<WaitingState, number>> {
  /** When the first of them is looked at again, ISO 8601 in UTC; may have passed; `null` when there is none. */
  readonly nextLookAt: string | null;
  /** Why the unanswered ones are, as `causeOf` words it: most frequent first, at most 20. */
  readonly causes: readonly WaitingCause[];
  /** The same of the failing ones: why they could not be handled. */
  readonly failures: readonly WaitingCause[];
}

export interface WaitingCause {
  readonly cause: string;
  readonly count: number;
}

export const NOBODY_WAITS: Waiting = {
  alive: 0,
  suspected: 0,
  held: 0,
  unanswered: 0,
  failing: 0,
  nextLookAt: null,
  causes: [],
  failures: [],
};

/** As it stands in reports. */
export type WaitingCounts = Omit<Waiting, "causes" | "failures">;

export function countsOf({ causes: _, failures: __, ...counts }: Waiting): WaitingCounts {
  return counts;
}

/** Of a run whose cause was not written down. */
export const UNKNOWN_CAUSE = "no usable answer";
export const UNKNOWN_FAILURE = "unknown";

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
  /**
   * Runs that wait for their next look when the sweep has ended; of a dry run, those that would. `null` when they could
   * not be counted.
   */
  readonly waiting: WaitingCounts | null;
  /** What is wrong, with its cause and what to do about it; `null` when nothing is. */
  readonly message: string | null;
  readonly cleanups: CleanupSummary;
  /** The first 1,000 runs in the order they ended. */
  readonly runs: readonly RunOutcome[];
  readonly runsOmitted: number;
}

export type SweepSummary = Omit<SweepReport, "runs" | "runsOmitted">;

/** A run that a sweep has ended. */
export interface PastVerdict {
  readonly decidedAt: Date;
  readonly outcome: RunOutcome;
}

/** What a sweep held back. */
export interface PastHold {
  /** When that sweep ended, ISO 8601 in UTC. */
  readonly at: string;
  /** In the guard's fixed vocabulary. */
  readonly reason: string | null;
  readonly runIds: readonly string[];
}
