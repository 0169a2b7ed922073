/** What the work needs from Postgres. The promises of ports.ts hold here as well. */

import type { Pause } from "../rules/fleet/pause.ts";
import type { LeaseNote, Shard } from "../rules/fleet/shard.ts";
import type { RunSnapshot, Trigger, Verdict } from "../rules/model.ts";
import type { Waiting } from "../rules/report.ts";
import type { SuspicionChange } from "../rules/suspicion.ts";
import type { ApiThrottle, Fence, LeaseKind, RunIdName } from "./ports.ts";

/**
 * Keyset cursor: pages of runs that are due first, by (time, id), then runs without a deadline, by id, and last, if the
 * query includes them, suspected runs that are not due, by id.
 */
export type PageCursor =
  | { readonly part: "due"; readonly dueAt: string; readonly id: string }
  | { readonly part: "no-deadline"; readonly id: string | null }
  | { readonly part: "suspected"; readonly id: string | null };

/** The database's time at the start of a sweep, with which everything in it is compared. */
export interface Horizon {
  /** As PostgreSQL prints it, with microseconds. */
  readonly text: string;
  /** Unix milliseconds, with fractions. */
  readonly ms: number;
}

/**
 * A run is stale when it is RUNNING and due before the horizon. It is due at its deadline, unless an earlier sweep has
 * set that as a shield: then at the next look of that sweep. A deadline that was moved since is the host's again.
 */
export interface StaleQuery {
  readonly horizon: Horizon;
  readonly nullDeadlineAfterMs: number;
  /** A run with a note of an earlier sweep counts as stale whatever its deadline says now. */
  readonly includeSuspected: boolean;
  /** Which runs the pages show; all of them when left out. */
  readonly part?: RunPart | null;
}

/**
 * The runs of one shard. Those that the guard is to decide on are the first one's, whatever their ids: those that one
 * more observation would confirm, that it holds back, or about which nothing was heard for `unverifiableAfterMs`.
 */
export interface RunPart extends Shard {
  readonly confirmations: number;
  readonly unverifiableAfterMs: number;
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
  /** As in a CleanupPlan; `null` when the sandbox stays. */
  readonly cleanupInMs: number | null;
  /**
   * As in a CleanupPlan: the row gets the host's stamp with that time. A host that has none is not told, and the sandbox
   * is not touched before.
   */
  readonly deletionInMs: number | null;
  /** Why a person let it pass the guard; `null` without an override. */
  readonly overrideReason: string | null;
}

/** When a run that stays RUNNING is looked at again, and how much longer its deadline hides it from others. */
export interface Deferral {
  /** Until our next look. */
  readonly deferMs: number;
  /** From our next look until the deadline that is set, the shield. A deadline is never moved back. */
  readonly shieldMs: number;
}

/** Of runs that were not asked about. */
export interface SkippedDeferral extends Deferral {
  /** Why, by run id, as `notAskedCause` words it; noted where no better cause is. */
  readonly causes?: Readonly<Record<string, string>>;
}

export interface DeferWrite extends Deferral {
  readonly run: RunSnapshot;
  /** Unix milliseconds; the next look is the earlier of this and now + deferMs. */
  readonly notAfterMs: number | null;
  /** JSON text for `status_detail`, such as `null`; `null` leaves the column as it is. */
  readonly statusDetail: string | null;
  readonly suspicion: SuspicionChange;
}

/**
 * `none`: no row matched the guard. `busy`: another transaction is writing this run. `refused`: Postgres rejected
 * the statement for what it contains (a constraint, a trigger); `cause` is its message without row data.
 */
export type WriteResult =
  | { readonly kind: "written" }
  | { readonly kind: "none" }
  | { readonly kind: "busy" }
  | { readonly kind: "refused"; readonly cause: string };

/** A run that could not be handled, and why, in fixed vocabulary. */
export interface FailedRun {
  readonly runId: string;
  readonly cause: string;
  readonly retryInMs: number;
}

/** What the database knows about a write that returned no row, read in one statement. */
export interface WriteFacts {
  /** The journal holds a verdict on this run with our epoch. */
  readonly journaled: boolean;
  readonly epochIsOurs: boolean;
  /** The row still is what the write's guard asked for. */
  readonly rowMatches: boolean;
}

/** Runs that are still RUNNING past the deadline they had before anybody deferred them. */
export interface Backlog {
  /** Stale at the horizon: what a sweep takes up. */
  readonly count: number;
  /** Deferred beyond the horizon by earlier sweeps. */
  readonly deferred: number;
  /** Of all of them, those that the guard holds back. */
  readonly held: number;
  /** Of all of them, those whose handling failed at the last attempt. */
  readonly failing: number;
  /** How long the oldest of all is overdue, counted from its original deadline; `null` when there is none. */
  readonly oldestOverdueMs: number | null;
}

/** What the guard has to know before a sweep begins. */
export interface GuardFacts {
  /** Runs that one more observation would confirm, in the whole fleet, due or not: `isConfirmable` says which. */
  readonly confirmable: number;
  /** Presumptions that the journal has of the last hour, without those a person let pass. */
  readonly presumedLastHour: number;
  /** Proofs that the journal has of the last hour. */
  readonly provenLastHour: number;
  /** Runs for which the last full sweep got an answer; with several shards, the first one's. */
  readonly lastAnswered: number;
  /** Runs for which the last sweeps of the other shards got an answer that raised no suspicion; none without shards. */
  readonly othersAnswered: number;
}

export interface RunStore {
  /** All stale runs, counted. */
  backlog(query: StaleQuery): Promise<Backlog>;
  /**
   * Runs that an earlier look left RUNNING, with what is known of each as it is now. Needs only SELECT.
   *
   * @param after leaves out those whose next look comes before: a sweep at that horizon takes them up.
   */
  waiting(after?: Horizon): Promise<Waiting>;
  /** Runs still RUNNING past their deadline at the horizon; at most `limit` a page. */
  stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage>;
  /** `null` when there is no such run. */
  read(runId: string, query: StaleQuery): Promise<RunSnapshot | null>;
  /** Ends a run and writes the journal in one statement that commits at once. Never waits for a row lock. */
  apply(write: TerminalWrite, fence: Fence): Promise<WriteResult>;
  /** Moves the deadline of a run that stays RUNNING and notes its suspicion, in one statement, under the same guard. */
  defer(write: DeferWrite, fence: Fence): Promise<WriteResult>;
  /**
   * Defers those of the given runs that are still stale, in one statement, and notes nothing but why. Rows that
   * another transaction is writing are left alone, and all of them when Postgres refuses one. Their original deadlines
   * are kept like those of other deferred runs.
   *
   * They keep their order, a microsecond apart, and `deferMs` is counted from the horizon: the next sweep takes them
   * before all runs that this one has asked about.
   */
  deferSkipped(
    runIds: readonly string[],
    query: StaleQuery,
    deferral: SkippedDeferral,
    fence: Fence,
  ): Promise<void>;
  /**
   * Notes that a run could not be handled: no page shows it again before `retryInMs` have passed. Does not touch the
   * host's row, which may be the cause.
   */
  noteError(run: FailedRun, fence: Fence): Promise<void>;
  /**
   * Removes the suspicions of runs that are not RUNNING any more. Returns how many of them were suspected or held, and
   * were then ended as timed out by another watchdog.
   */
  dropSuspicions(fence: Fence): Promise<number>;
  /** @param othersWithinMs how long ago the last sweeps of the other shards may have begun; by default they do not count. */
  guardFacts(confirmations: number, othersWithinMs?: number): Promise<GuardFacts>;
  /** RUNNING runs that are not due, not suspected, and have the ids that are needed; those with most time left. */
  controlRuns(
    query: StaleQuery,
    needs: readonly RunIdName[],
    limit: number,
  ): Promise<readonly RunSnapshot[]>;
  facts(run: RunSnapshot, of: Pick<Fence, "shard" | "epoch">): Promise<WriteFacts>;
}

/** The lead of one shard, for health and for deciding whether to contend. */
export interface LeadershipView {
  readonly installation: string;
  readonly epoch: number;
  /** Who took the epoch, without the token of the lease. */
  readonly holder: string | null;
  /** What the fleet has noted; `null` when nobody leads. */
  readonly leaseKind: LeaseKind | null;
  readonly shards: number;
  readonly sweepStartedAt: string | null;
  readonly sweepFinishedAt: string | null;
  /** How long ago, by the database's clock; `null` for never. */
  readonly sinceProgressMs: number | null;
  readonly sinceFinishMs: number | null;
  /** What the last full sweep came to, as its report says it; `null` when there is none. */
  readonly lastStatus: string | null;
  /** The last one, also when it is over; `null` when there never was one. */
  readonly lastPause: Pause | null;
  readonly readAt: string;
}

export interface EpochRequest {
  readonly shard: number;
  /**
   * Takes the epochs of all shards away as well, whoever has them: nobody else writes anything any more. Of the first
   * shard only.
   */
  readonly fencesAll: boolean;
  /** `host/pid/random`. */
  readonly holder: string;
  /** The value under which the lease is held: holder and term token. */
  readonly leaseValue: string;
  readonly leaseKind: LeaseKind;
  /** Of the fleet, with which this worker's own number must agree. */
  readonly shards: number;
  readonly trigger: Trigger;
  /** False for a partial sweep: it takes an epoch and leaves the sweep columns alone. */
  readonly full: boolean;
  /** A cron tick is refused when the last full sweep finished and began less than half of this ago. */
  readonly intervalMs: number;
  /** After this long without progress of any shard, a worker with another kind of lease, or number of shards, may take over. */
  readonly otherKindAfterMs: number;
}

export type EpochAnswer =
  | {
      readonly kind: "begun";
      readonly epoch: number;
      readonly horizon: Horizon;
      /** What the shared API had asked the leader before us for. */
      readonly throttle: ApiThrottle;
    }
  | { readonly kind: "paused"; readonly pause: Pause }
  | { readonly kind: "already-swept" }
  /** `null`: nothing is noted, and only the leader of the first shard notes anything. */
  | { readonly kind: "other-lease-kind"; readonly noted: LeaseNote<LeaseKind> | null }
  /** Postgres lease only: the row no longer names us, or the lease has run out. */
  | { readonly kind: "lease-lost" };

/** A worker that stops in order. */
export interface Leaving {
  /** The last one that it took of the first shard; `null` for none. */
  readonly epoch: number | null;
  readonly holder: string;
  /** Into how many its fleet divides the runs. */
  readonly shards: number;
  readonly othersWithinMs: number;
}

export interface Leadership {
  /** @throws StoreSchemaError when the worker's or the host's tables cannot be used as they are. */
  read(shard?: number): Promise<LeadershipView>;
  /** One conditional UPDATE; a refusal changes nothing. */
  begin(request: EpochRequest, check: () => void): Promise<EpochAnswer>;
  /** The horizon of a sweep that takes no epoch (dry run). */
  horizon(): Promise<Horizon>;
  /** Tells the fleet that the sweep moves on, and what the API asks for. False when the epoch is no longer ours. */
  progress(fence: Fence, throttle: ApiThrottle): Promise<boolean>;
  /** Records the end of a full sweep. False when the epoch is no longer ours. */
  finish(fence: Fence, report: object, throttle: ApiThrottle): Promise<boolean>;
  /**
   * After a graceful stop: lets a worker with another kind of lease take over at once. Where the runs are divided, the
   * last one does: not while another worker, which has not left, has swept a shard within `othersWithinMs`.
   */
  clearLeaseKind(leaving: Leaving): Promise<void>;
}
