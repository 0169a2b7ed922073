import type { Basis } from "../model.ts";

export interface CleanupDelays {
  /** How long the sandbox of a presumed dead run is spared. */
  readonly cleanupDelayMs: number;
  /** How long the host keeps the sandbox of any finished run. */
  readonly hostCleanupDelayMs: number;
}

/** What is to become of an ended run's sandbox, in milliseconds from the verdict. */
export interface CleanupPlan {
  /** Until it may be touched: it is deleted then, or only paused where the deletion is deferred. */
  readonly cleanupInMs: number;
  /** Until a deferred deletion, which the host is told of; `null` where none is. */
  readonly deletionInMs: number | null;
}

/**
 * The sandbox goes when neither a late callback nor a person can want it any more.
 *
 * @param pauses whether the backend can pause a sandbox: only then a deletion is deferred as the host defers it.
 */
export function planCleanup(basis: Basis, delays: CleanupDelays, pauses: boolean): CleanupPlan {
  // A presumption may still be overturned: pausing would end what may be alive.
  const sparedForMs = basis === "proof" ? 0 : delays.cleanupDelayMs;
  const goneAfterMs = Math.max(sparedForMs, delays.hostCleanupDelayMs);
  if (delays.hostCleanupDelayMs === 0 || !pauses) {
    return { cleanupInMs: goneAfterMs, deletionInMs: null };
  }
  return { cleanupInMs: sparedForMs, deletionInMs: goneAfterMs };
}
