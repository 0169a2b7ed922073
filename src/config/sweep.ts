/** How runs are found, judged and cleaned up after. */
import type { GuardPolicy } from "../rules/guard.ts";
import type { VerdictPolicy } from "../rules/model.ts";
import type { EnvReader } from "./env/env-reader.ts";
import type { SettingName } from "./env/names.ts";

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

export interface CleanupConfig {
  /** Before the sandbox of a presumed dead run is deleted; proofs do not wait. */
  readonly delayMs: number;
  /** Between the end of any run and the deletion of its sandbox, which is paused meanwhile; 0: it goes at once. */
  readonly hostDelayMs: number;
  readonly journalRetentionMs: number;
}

export function readSweep(reader: EnvReader): SweepConfig {
  return {
    concurrency: reader.integer("WATCHDOG_CONCURRENCY", { default: 16, min: 1, max: 256 }),
    apiConcurrency: reader.integer("WATCHDOG_API_CONCURRENCY", { default: 8, min: 1, max: 256 }),
    pageSize: reader.integer("WATCHDOG_PAGE_SIZE", { default: 500, min: 1, max: 10_000 }),
    verifyTimeoutMs: reader.duration("WATCHDOG_VERIFY_TIMEOUT", {
      default: "30s",
      min: "1s",
      max: "5m",
    }),
    deferMs: reader.duration("WATCHDOG_DEFER", { default: "45s", min: "1s", max: "15m" }),
    nullDeadlineAfterMs: reader.duration("WATCHDOG_NULL_DEADLINE_AFTER", {
      default: "24h",
      min: "1m",
      max: "30d",
    }),
  };
}

/**
 * Names, units and defaults are the host service's, which takes whatever is an integer: both must arrive at the same hard
 * deadline. Four times the limit after any start is still a date.
 */
export function readVerdictPolicy(reader: EnvReader): HardDeadlineConfig {
  function seconds(name: SettingName, fallback: number): number {
    return reader.seconds(name, { default: fallback, min: -LONGEST_S, max: LONGEST_S });
  }
  return {
    defaultRunMs: seconds("AUTOMATION_DEFAULT_RUN_DURATION", 600),
    maxRunMs: seconds("AUTOMATION_MAX_RUN_DURATION", 1_800),
    readyTimeoutMs: seconds("AUTOMATION_SANDBOX_READY_TIMEOUT", 300),
    hardGraceMs: seconds("AUTOMATION_RUN_TIMEOUT_HARD_GRACE", 600),
  };
}

/** About 3,000 years. */
const LONGEST_S = 100_000_000_000;

export function readGuard(reader: EnvReader): GuardPolicy {
  return {
    confirmations: reader.integer("WATCHDOG_CONFIRMATIONS", { default: 2, min: 1, max: 10 }),
    min: reader.integer("WATCHDOG_GUARD_MIN", { default: 5, min: 0, max: 10_000 }),
    ratio: reader.decimal("WATCHDOG_GUARD_RATIO", { default: 0.25, min: 0, max: 1 }),
    // Not 0: with a cap of none, a dead run would stay RUNNING for ever.
    perHour: reader.integer("WATCHDOG_GUARD_PER_HOUR", { default: 60, min: 1, max: 100_000 }),
    unverifiableAfterMs: reader.duration("WATCHDOG_UNVERIFIABLE_AFTER", {
      default: "24h",
      min: "1m",
      max: "30d",
    }),
  };
}

export function readCleanup(reader: EnvReader): CleanupConfig {
  return {
    delayMs: reader.duration("WATCHDOG_CLEANUP_DELAY", { default: "5m", min: "0s", max: "24h" }),
    hostDelayMs: reader.seconds("AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS", {
      default: 0,
      min: 0,
      max: LONGEST_S,
    }),
    // The guard counts the last hour in the journal, so that much must never be gone.
    journalRetentionMs: reader.duration("WATCHDOG_JOURNAL_RETENTION", {
      default: "90d",
      min: "1d",
      max: "3650d",
    }),
  };
}
