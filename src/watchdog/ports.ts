/**
 * What the work needs from the outside, and what it may rely on. Implementations live in io/.
 *
 * Every call settles within a bound of its own. Calls that take a `Fence` run its check synchronously, directly before
 * the statement leaves the process, and reject with what the check threw; nothing was sent then.
 */
import type { Evidence, RunSnapshot, Trigger, Verdict } from "../rules/model.ts";

export interface Clock {
  /** Wall time: to show, never to decide or to store. */
  now(): Date;
  /** For deadlines and durations; never steps back. */
  monotonicMs(): number;
  /** Rejects with `signal.reason`, at once when it is aborted already. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** When to sweep. */
export interface Schedule {
  /** Calls `onTick` at every time of the schedule, until the returned function is called. */
  start(onTick: () => void): () => void;
  nextAt(): Date;
  /** The distance between the ticks before and after now. */
  intervalMs(): number;
  /** How long ago the `count`th tick before now was; varies with the distances of an uneven schedule. */
  sinceTickMs(count: number): number;
}

export interface Random {
  /** A random opaque token, safe in keys and logs. */
  token(): string;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/** pino's shape, as far as it is used. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Postgres could not be reached, or a statement's outcome is unknown. Trying again later is right. */
export class StoreUnavailableError extends Error {
  override readonly name = "StoreUnavailableError";
}

/** A table, column or privilege is missing, or the schema is older than the program. The message names the remedy. */
export class StoreSchemaError extends Error {
  override readonly name = "StoreSchemaError";
}

/** The lease store could not be reached, or an answer did not come in time. */
export class LeaseUnavailableError extends Error {
  override readonly name = "LeaseUnavailableError";
}

/** The right to write: an epoch and the trust that it still holds. */
export interface Fence {
  readonly epoch: number;
  /** @throws LeaseLostError or the abort reason when the holder may no longer write. */
  check(): void;
}

/** Keyset cursor: pages of runs with a deadline first, by (deadline, id), then runs without one, by id. */
export type PageCursor =
  | { readonly part: "deadline"; readonly timeoutAt: string; readonly id: string }
  | { readonly part: "no-deadline"; readonly id: string | null };

/** The database's time at the start of a sweep, with which everything in it is compared. */
export interface Horizon {
  /** As PostgreSQL prints it, with microseconds. */
  readonly text: string;
  /** Unix milliseconds, with fractions. */
  readonly ms: number;
}

export interface StaleQuery {
  readonly horizon: Horizon;
  readonly nullDeadlineAfterMs: number;
}

export interface StalePage {
  readonly ids: readonly string[];
  /** Where the next page starts; `null` after the last one. */
  readonly next: PageCursor | null;
}

export interface TerminalWrite {
  readonly run: RunSnapshot;
  readonly verdict: Extract<Verdict, { kind: "complete" | "fail" }>;
  /** Statuses, codes and sizes only; goes to the journal. */
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly holder: string;
  readonly trigger: Trigger;
  /** Milliseconds until the sandbox may be deleted; `null` when it stays. */
  readonly cleanupInMs: number | null;
}

export interface DeferWrite {
  readonly run: RunSnapshot;
  readonly deferMs: number;
  /** Unix milliseconds; the new deadline is the earlier of this and now + deferMs. */
  readonly notAfterMs: number | null;
  /** JSON text for `status_detail`; `null` writes JSON null. */
  readonly statusDetail: string | null;
}

/**
 * `none`: no row matched the guard. `busy`: somebody else is writing this run right now. `refused`: Postgres rejected
 * the statement for what it contains (a constraint, a trigger); `cause` is its message without row data.
 */
export type WriteResult =
  | { readonly kind: "written" }
  | { readonly kind: "none" }
  | { readonly kind: "busy" }
  | { readonly kind: "refused"; readonly cause: string };

/** What the database knows about a write that returned no row, read in one statement. */
export interface WriteFacts {
  /** The journal holds a verdict on this run with our epoch. */
  readonly journaled: boolean;
  readonly epochIsOurs: boolean;
  /** The row still is what the write's guard asked for. */
  readonly rowMatches: boolean;
}

export interface Backlog {
  readonly count: number;
  /** How long the oldest of them is overdue; `null` when there is none. */
  readonly oldestOverdueMs: number | null;
}

export interface RunStore {
  /** All stale runs, counted. */
  backlog(query: StaleQuery): Promise<Backlog>;
  /** Runs still RUNNING past their deadline at the horizon; at most `limit` a page. */
  stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage>;
  /** `null` when there is no such run. */
  read(runId: string, query: StaleQuery): Promise<RunSnapshot | null>;
  /** Ends a run and writes the journal in one statement that commits at once. Never waits for a row lock. */
  apply(write: TerminalWrite, fence: Fence): Promise<WriteResult>;
  /** Moves the deadline of a run that stays RUNNING, under the same guard. */
  defer(write: DeferWrite, fence: Fence): Promise<WriteResult>;
  facts(run: RunSnapshot, epoch: number): Promise<WriteFacts>;
}

export type LeaseKind = "redis" | "postgres";

/** The leadership row, for health and for deciding whether to contend. */
export interface LeadershipView {
  readonly installation: string;
  readonly epoch: number;
  readonly holder: string | null;
  readonly leaseKind: LeaseKind | null;
  readonly sweepStartedAt: string | null;
  readonly sweepFinishedAt: string | null;
  /** How long ago, by the database's clock; `null` for never. */
  readonly sinceProgressMs: number | null;
  readonly sinceFinishMs: number | null;
  readonly readAt: string;
}

export interface EpochRequest {
  /** `host/pid/random`. */
  readonly holder: string;
  /** The value under which the lease is held: holder and term token. */
  readonly leaseValue: string;
  readonly leaseKind: LeaseKind;
  readonly trigger: Trigger;
  /** False for a partial sweep: it takes an epoch and leaves the sweep columns alone. */
  readonly full: boolean;
  /** A cron tick is refused when the last full sweep finished and began less than half of this ago. */
  readonly intervalMs: number;
  /** After this long without progress, a worker with another kind of lease may take over. */
  readonly otherKindAfterMs: number;
}

export type EpochAnswer =
  | { readonly kind: "begun"; readonly epoch: number; readonly horizon: Horizon }
  | { readonly kind: "already-swept" }
  | { readonly kind: "other-lease-kind"; readonly noted: LeaseKind }
  /** Postgres lease only: the row no longer names us, or the lease has run out. */
  | { readonly kind: "lease-lost" };

export interface Leadership {
  /** @throws StoreSchemaError when the worker's or the host's tables cannot be used as they are. */
  read(): Promise<LeadershipView>;
  /** One conditional UPDATE; a refusal changes nothing. */
  begin(request: EpochRequest, check: () => void): Promise<EpochAnswer>;
  /** The horizon of a sweep that takes no epoch (dry run). */
  horizon(): Promise<Horizon>;
  /** Tells the fleet that the sweep moves on. False when the epoch is no longer ours. */
  progress(fence: Fence): Promise<boolean>;
  /** Records the end of a full sweep. False when the epoch is no longer ours. */
  finish(fence: Fence, report: object): Promise<boolean>;
  /** After a graceful stop: lets a worker with another kind of lease take over at once. */
  clearLeaseKind(epoch: number): Promise<void>;
}

export interface CleanupTask {
  readonly id: number;
  readonly runId: string;
  readonly userId: string | null;
  readonly orgId: string | null;
  readonly sandboxId: string;
  readonly attempts: number;
}

/** A first outcome that is still to be recorded on its automation. */
export interface FirstRunTask {
  readonly automationId: string;
  readonly outcome: string;
  /** The automation's `preset_metadata` as text; `null` when it has none or is gone. */
  readonly metadata: string | null;
  /** The database's clock, ISO 8601 UTC with microseconds. */
  readonly readAt: string;
}

export interface Journal {
  /**
   * Claims due deletions, counting the attempt and moving the next one away, so that two workers never delete the
   * same sandbox at once. Presumptions whose run was overturned or whose sandbox is kept are settled, not claimed.
   */
  claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]>;
  cleanupDone(id: number, fence: Fence): Promise<void>;
  /** Tells whether the deletion will be tried again; a day after the verdict it is given up. */
  cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned">;
  pendingCleanups(): Promise<number>;
  /** One per automation, its oldest open verdict; in the order of `afterAutomation`, an automation's id. */
  openFirstRuns(afterAutomation: string | null, limit: number): Promise<readonly FirstRunTask[]>;
  /** Compare-and-set of `preset_metadata`; false when it changed meanwhile or somebody is writing it. */
  recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean>;
  /** Closes every open verdict of the automation. */
  firstRunDone(automationId: string, fence: Fence): Promise<void>;
}

export interface CleanupTarget {
  readonly sandboxId: string;
  readonly userId: string | null;
  readonly orgId: string | null;
}

export type CleanupResult =
  | { readonly kind: "deleted" }
  | { readonly kind: "failed"; readonly failure: string; readonly retryAfterMs: number | null };

export interface Backend {
  readonly name: string;
  /** Whether `cleanup` can do anything; without it no deletion is ever scheduled. */
  readonly cleans: boolean;
  /** Never rejects because of the remote side: that is evidence. Rejects with `signal.reason` when aborted. */
  verify(run: RunSnapshot, signal: AbortSignal): Promise<Evidence>;
  /** Deletes a run's sandbox. Same promise about rejection. */
  cleanup(target: CleanupTarget, signal: AbortSignal): Promise<CleanupResult>;
}

export type AcquireAnswer =
  | { readonly kind: "acquired" }
  /** `expiresInMs` is `null` when the lease never expires by itself: somebody has to remove it. */
  | { readonly kind: "held"; readonly value: string | null; readonly expiresInMs: number | null };

/** The right to sweep, as a store keeps it. Each call rejects with LeaseUnavailableError when its outcome is unknown. */
export interface Lease {
  readonly kind: LeaseKind;
  /** Resolves when the store answers. */
  ping(): Promise<void>;
  /** One attempt. `value` names this term and no other. */
  acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer>;
  /** False when the lease is no longer held under `value`. */
  renew(installation: string, value: string, ttlMs: number): Promise<boolean>;
  /** Compare-and-delete; false when it was not held under `value`. */
  release(installation: string, value: string): Promise<boolean>;
}
