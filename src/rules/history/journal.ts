/** What can be read of a run later: its verdicts, and its row with what is remembered of it. Points in time are ISO 8601 in UTC, or Postgres' `infinity` and `-infinity`. */
import type { Basis } from "../model.ts";

/** A verdict as the journal has it, with what has become of its run since. Holds no tenant's text. */
export interface JournaledVerdict {
  readonly runId: string;
  readonly automationId: string | null;
  readonly decidedAt: string;
  /** `COMPLETED` or `FAILED`. */
  readonly outcome: string;
  readonly basis: Basis;
  /** Fixed vocabulary. */
  readonly reason: string;
  /** Codes, statuses and sizes. */
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly epoch: number;
  /** `host/pid/random`. */
  readonly holder: string;
  readonly trigger: string;
  /** Why a person let it pass the guard. */
  readonly overrideReason: string | null;
  /** What was remembered of the run until then; `null` when it was ended at first sight. */
  readonly suspicion: JournaledSuspicion | null;
  readonly cleanup: {
    /** `none`, `pending`, `done` or `abandoned`. */
    readonly state: string;
    readonly attempts: number;
    readonly nextAt: string | null;
    readonly error: string | null;
  };
  /** A presumption whose run has another end by now: a late callback, or somebody's hand. */
  readonly overturned: boolean;
  /** When that was noticed; `null` while nobody has noted it. */
  readonly overturnedAt: string | null;
  /** The run's status as it is; `null` when the host has removed the run. */
  readonly statusNow: string | null;
}

export interface JournaledSuspicion {
  /** Before anybody deferred the run. */
  readonly firstDeadlineAt: string | null;
  /** Observations before the one that led to the verdict. */
  readonly presumedTimes: number;
  readonly presumedLastAt: string | null;
  readonly unknownTimes: number;
  readonly unknownSince: string | null;
  readonly heldSince: string | null;
}

/** A run's row and what is remembered of it. */
export interface RunRecord {
  readonly runId: string;
  readonly automationId: string;
  readonly status: string;
  /** `coalesce(started_at, created_at)`. */
  readonly beganAt: string | null;
  readonly completedAt: string | null;
  readonly timeoutAt: string | null;
  readonly sandboxId: string | null;
  readonly bashCommandId: string | null;
  /** FAILED with the text of a presumption, ours or another watchdog's. */
  readonly timedOut: boolean;
  /** When a sweep takes it up: its deadline, or our next look where we have moved that as a shield. */
  readonly dueAt: string | null;
  /** The deadline is one that we have set. */
  readonly shielded: boolean;
  /** `null`: nothing, or it was about another start, sandbox or command. */
  readonly remembered: Remembered | null;
  /** The database's clock. */
  readonly readAt: string;
}

export interface Remembered {
  readonly firstDeadlineAt: string;
  readonly notedAt: string;
  readonly presumedTimes: number;
  readonly presumedReason: string | null;
  readonly presumedLastAt: string | null;
  readonly unknownTimes: number;
  readonly unknownSince: string | null;
  readonly unknownCause: string | null;
  readonly errorTimes: number;
  readonly errorCause: string | null;
  /** No sweep takes the run up before. */
  readonly errorRetryAt: string | null;
  readonly heldSince: string | null;
}
