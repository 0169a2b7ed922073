/** What is counted of the whole fleet beside the sweeps, the same on every replica. */
import type { VerdictPolicy } from "../rules/model.ts";

export interface FleetFigures {
  /** The database's clock, Unix milliseconds. */
  readonly nowMs: number;
  /** Of the newest sweep; of the first shard's, where there are several. */
  readonly epoch: number;
  /** RUNNING past the deadline that they had before anybody deferred them. */
  readonly overdueRuns: number;
  /** How long the oldest of those is; `null` when there is none. */
  readonly oldestOverdueMs: number | null;
  /** RUNNING, and their hard deadline comes within an hour. */
  readonly hardDeadlineSoonRuns: number;
  /** RUNNING, and the backend has given no usable answer about them for more than an hour. */
  readonly silentRuns: number;
  /** PENDING for more than a minute: a host that works picks a run up within seconds. */
  readonly pendingRuns: number;
  /** Since the oldest PENDING run was created; `null` when there is none. */
  readonly oldestPendingMs: number | null;
  /** Deletions that the journal still holds. */
  readonly pendingCleanups: number;
  /** How long the oldest of those is past the time that it was first due; `null` when none is. */
  readonly oldestCleanupMs: number | null;
}

export interface FigureTimes {
  readonly nullDeadlineAfterMs: number;
  readonly policy: VerdictPolicy;
}

export interface FigureReads {
  /**
   * One statement that needs only SELECT.
   *
   * @throws StoreUnavailableError, StoreSchemaError.
   */
  figures(times: FigureTimes): Promise<FleetFigures>;
}
