/** How runs are found, judged and cleaned up after. */
import type { CleanupDelays } from "../rules/cleanup/cleanup-plan.ts";
import type { GuardPolicy } from "../rules/guard.ts";
import type { VerdictPolicy } from "../rules/model.ts";
import type { EnvReader } from "./env/env-reader.ts";

export interface SweepConfig {
  /** Runs verified at once. */
  readonly concurrency: number;
  /** Calls at once to the API that all runs share: key mint, sandbox lookup, deletion. */
  readonly apiConcurrency: number;
  readonly pageSize: number;
  /** For one run, from the moment it has a slot. */
  readonly verifyTimeoutMs: number;
  readonly deferMs: number;
  readonly nullDeadlineAfterMs: number;
}

/** The guard's policy holds the last of the times. */
export type HardDeadlineConfig = Omit<VerdictPolicy, "unverifiableAfterMs">;

export interface CleanupConfig extends CleanupDelays {
  readonly journalRetentionMs: number;
}

export function readSweep(reader: EnvReader): SweepConfig {
  return {
    concurrency: reader.integer("WATCHDOG_CONCURRENCY"),
    apiConcurrency: reader.integer("WATCHDOG_API_CONCURRENCY"),
    pageSize: reader.integer("WATCHDOG_PAGE_SIZE"),
    verifyTimeoutMs: reader.duration("WATCHDOG_VERIFY_TIMEOUT"),
    deferMs: reader.duration("WATCHDOG_DEFER"),
    nullDeadlineAfterMs: reader.duration("WATCHDOG_NULL_DEADLINE_AFTER"),
  };
}

/**
 * Names, units and defaults are the host service's, which takes whatever is an integer: both must arrive at the same hard
 * deadline.
 */
export function readVerdictPolicy(reader: EnvReader): HardDeadlineConfig {
  return {
    defaultRunMs: reader.seconds("AUTOMATION_DEFAULT_RUN_DURATION"),
    maxRunMs: reader.seconds("AUTOMATION_MAX_RUN_DURATION"),
    readyTimeoutMs: reader.seconds("AUTOMATION_SANDBOX_READY_TIMEOUT"),
    hardGraceMs: reader.seconds("AUTOMATION_RUN_TIMEOUT_HARD_GRACE"),
  };
}

export function readGuard(reader: EnvReader): GuardPolicy {
  return {
    confirmations: reader.integer("WATCHDOG_CONFIRMATIONS"),
    min: reader.integer("WATCHDOG_GUARD_MIN"),
    ratio: reader.decimal("WATCHDOG_GUARD_RATIO"),
    perHour: reader.integer("WATCHDOG_GUARD_PER_HOUR"),
    unverifiableAfterMs: reader.duration("WATCHDOG_UNVERIFIABLE_AFTER"),
  };
}

export function readCleanup(reader: EnvReader): CleanupConfig {
  return {
    cleanupDelayMs: reader.duration("WATCHDOG_CLEANUP_DELAY"),
    hostCleanupDelayMs: reader.seconds("AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS"),
    journalRetentionMs: reader.duration("WATCHDOG_JOURNAL_RETENTION"),
  };
}
