import type { Config } from "../config/config.ts";
import type { WorkerOptions } from "../watchdog/worker.ts";

/** No finished statement or question for this long: the leader is cut off and gives the lease up. */
const PROGRESS_TIMEOUT_MS = 60_000;
const CLEANUP_TAIL_MS = 30_000;

/** From the configuration to what the work needs. */
export function workerOptions(config: Config, holder: string): WorkerOptions {
  const { concurrency, apiConcurrency, pageSize, deferMs, nullDeadlineAfterMs, verifyTimeoutMs } =
    config.sweep;
  return {
    holder,
    lease: config.lease,
    // A single question may take as long as it is allowed to.
    progressTimeoutMs: Math.max(PROGRESS_TIMEOUT_MS, 2 * verifyTimeoutMs),
    sweep: {
      concurrency,
      pageSize,
      deferMs,
      nullDeadlineAfterMs,
      cleanupDelayMs: config.cleanup.delayMs,
      hostCleanupDelayMs: config.cleanup.hostDelayMs,
      policy: { ...config.verdict, unverifiableAfterMs: config.guard.unverifiableAfterMs },
      guard: config.guard,
    },
    journalRetentionMs: config.cleanup.journalRetentionMs,
    cleanupSlots: { beside: Math.ceil(apiConcurrency / 16), after: apiConcurrency },
    cleanupTailMs: CLEANUP_TAIL_MS,
    verifyTimeoutMs,
  };
}
