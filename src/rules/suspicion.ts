/** What a sweep remembers of a run that it leaves RUNNING: how sure it is, and how long it has been in the dark. */
import type { Suspicion } from "./model.ts";

/** The memory as it shall be from now on. Points in time are the database's. */
export interface SuspicionChange {
  readonly presumedTimes: number;
  readonly presumedReason: string | null;
  /** This observation counted: the time of the last one becomes now. */
  readonly observed: boolean;
  /** 0 ends the time in the dark; otherwise it began with the first of them. */
  readonly unknownTimes: number;
  /** The guard holds the verdict back, since the first time it did. */
  readonly held: boolean;
}

/** After proof of life nothing is suspected. */
export const CLEARED: SuspicionChange = {
  presumedTimes: 0,
  presumedReason: null,
  observed: false,
  unknownTimes: 0,
  held: false,
};

/** Observations that come closer together than one deferral are one observation: the same moment seen twice proves nothing. */
export function observation(
  before: Suspicion | null,
  reason: string,
  deferMs: number,
): SuspicionChange {
  const sinceMs = before?.sincePresumedMs ?? null;
  const observed = sinceMs === null || sinceMs >= deferMs;
  const presumedTimes = (before?.presumedTimes ?? 0) + (observed ? 1 : 0);
  return { ...CLEARED, presumedTimes, presumedReason: reason, observed };
}

/** An answer that told nothing neither counts as an observation nor clears one. */
export function inconclusive(before: Suspicion | null): SuspicionChange {
  return {
    presumedTimes: before?.presumedTimes ?? 0,
    presumedReason: before?.presumedReason ?? null,
    observed: false,
    unknownTimes: (before?.unknownTimes ?? 0) + 1,
    held: false,
  };
}

const SHIELD_MARGIN_MS = 60_000;

/**
 * From our next look at a run until its deadline. The host's own watchdog takes up whatever is past its deadline and ends
 * it at the first observation: a look may come a tick late, and a worker that took over another tick after that.
 */
export function shieldAfterLookMs(intervalMs: number): number {
  return 2 * intervalMs + SHIELD_MARGIN_MS;
}

const LONGEST_MS = 15 * 60_000;

/** How long until a run is asked about again that gave no answer so many times: doubling, up to a quarter of an hour. */
export function askAgainInMs(times: number, deferMs: number): number {
  return Math.max(deferMs, Math.min(deferMs * 2 ** (times - 1), LONGEST_MS));
}
