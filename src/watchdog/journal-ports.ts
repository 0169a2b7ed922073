/** What the work needs from the journal, the table of verdicts. The promises of ports.ts hold here as well. */
import type { CleanupPlan } from "../rules/cleanup/cleanup-plan.ts";
import type { JournaledVerdict, RunRecord } from "../rules/history/journal.ts";
import type { Basis } from "../rules/model.ts";
import type { Fence } from "./ports.ts";

export interface CleanupTask {
  readonly id: number;
  readonly runId: string;
  readonly userId: string | null;
  readonly orgId: string | null;
  readonly sandboxId: string;
  /** To delete it, this one included. */
  readonly attempts: number;
  /** It is only to be paused, and nothing of that may be on its way after so many milliseconds; `null`: deleted. */
  readonly pauseWithinMs: number | null;
}

/** A first outcome that is still to be recorded on its automation. */
export interface FirstRunTask {
  readonly automationId: string;
  readonly runId: string;
  /** As in a verdict. */
  readonly basis: string;
  readonly outcome: string;
  /** The automation's `preset_metadata` as text; `null` when it has none or is gone. */
  readonly metadata: string | null;
  /** The database's clock, ISO 8601 UTC with microseconds. */
  readonly readAt: string;
}

/** A presumption whose run has another end by now. Holds no tenant's text. */
export interface OverturnedVerdict {
  readonly runId: string;
  readonly automationId: string | null;
  readonly outcome: string;
  /** Fixed vocabulary. */
  readonly reason: string;
  /** ISO 8601, UTC. */
  readonly decidedAt: string;
  /** The end that the run has now. */
  readonly statusNow: string;
  /** How much later it ended so, as the host has it; `null` where that time was not changed. */
  readonly laterMs: number | null;
  /** Whether its sandbox has been deleted; `null`: it had none. */
  readonly sandboxDeleted: boolean | null;
}

export interface Journal {
  /**
   * Claims due deletions, counts the attempt and moves the next one to the end of the claim, so that two workers never
   * delete the same sandbox at once, also when several verdicts name it: one of them is claimed, when all are due. The
   * host's stamp moves to the end of the claim, so that its own watchdog does not delete it either.
   *
   * A sandbox that may be touched, but whose deletion is not due yet, is claimed for a pause instead, once, whatever the
   * result is.
   *
   * Closed instead of claimed are presumptions whose run was overturned, sandboxes that are kept by now, and those that
   * another program took over: the stamp that we set is gone, or another. The deletion of a sandbox that a RUNNING run
   * names is postponed, which counts no attempt.
   */
  claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]>;
  /**
   * Closes every pending verdict on the same sandbox, and takes our stamps away. `note` says what was doubtful about it;
   * `null` for a deletion that the API confirmed.
   */
  cleanupDone(id: number, note: string | null, fence: Fence): Promise<void>;
  /** Returns whether the deletion will be tried again; a day after it was first due it is given up. */
  cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned">;
  pendingCleanups(): Promise<number>;
  /**
   * One per automation, its oldest open verdict; in the order of `afterAutomation`, an automation's id. A presumption
   * that is younger than `presumedForMs` may still be overturned, so its automation waits, later verdicts included.
   */
  openFirstRuns(
    afterAutomation: string | null,
    limit: number,
    presumedForMs: number,
  ): Promise<readonly FirstRunTask[]>;
  /**
   * Compare-and-set of `preset_metadata`; false when it changed meanwhile, when the task's presumption was overturned, or
   * when another transaction is writing the automation or the presumed run.
   */
  recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean>;
  /** Closes, with nothing recorded, open presumptions whose run is gone or has another end by now. Returns how many. */
  closeOverturnedFirstRuns(fence: Fence): Promise<number>;
  /** Closes every open verdict of the automation. */
  firstRunDone(automationId: string, fence: Fence): Promise<void>;
  /**
   * Schedules the deletion of sandboxes that their runs named only after our presumption had ended them, within an hour
   * of the verdict. Returns how many.
   */
  adoptLateSandboxes(plan: CleanupPlan, fence: Fence): Promise<number>;
  /**
   * Takes over the deletions that the host has stamped on finished runs and that were not made five minutes after they
   * were due, the oldest first, but not those of kept sandboxes. Returns how many, at most `limit`.
   */
  adoptOverdueStamps(limit: number, fence: Fence): Promise<number>;
  /**
   * Notes presumptions of the time given whose run has another end by now: a late callback, or somebody's hand. A run
   * that is gone, or began anew since, says nothing. Returns those that are new, at most `limit`.
   */
  markOverturned(
    withinMs: number,
    limit: number,
    fence: Fence,
  ): Promise<readonly OverturnedVerdict[]>;
  /** Removes verdicts older than that, except those with something left to do. Returns how many, at most `limit`. */
  prune(olderThanMs: number, limit: number, fence: Fence): Promise<number>;
}

/** `null` where it does not matter. */
export interface VerdictQuery {
  readonly runId: string | null;
  /** Not older than this. */
  readonly sinceMs: number | null;
  readonly basis: Basis | null;
  readonly outcome: "COMPLETED" | "FAILED" | null;
  /** Only presumptions whose run has another end by now. */
  readonly overturned: boolean;
  readonly limit: number;
}

export const ALL_VERDICTS = {
  runId: null,
  sinceMs: null,
  basis: null,
  outcome: null,
  overturned: false,
} as const;

/**
 * What people ask about the past. SELECT on the tables is enough for it.
 *
 * @throws StoreUnavailableError, StoreSchemaError.
 */
export interface JournalReader {
  /** Newest first. Sandboxes that were taken over from the host are no verdicts, and not among them. */
  verdicts(query: VerdictQuery): Promise<readonly JournaledVerdict[]>;
  /** @returns `null` when the host has no such run. */
  run(runId: string, nullDeadlineAfterMs: number): Promise<RunRecord | null>;
}
