/** What a sweep notes about a run that stays RUNNING: how sure it is, and for how long it got no usable answer. */
import type { Suspicion } from "./model.ts";

/** What is noted from now on. Points in time are the database's. */
export interface SuspicionChange {
  readonly presumedTimes: number;
  readonly presumedReason: string | null;
  /** This observation counted: the time of the last one becomes now. */
  readonly observed: boolean;
  /** Inconclusive answers in a row; 0 ends the series. */
  readonly unknownTimes: number;
  /** Why the last answer was inconclusive, in fixed vocabulary; `null` when it was not. */
  readonly unknownCause: string | null;
  /** The guard holds the verdict back, since the first time it did. */
  readonly held: boolean;
}

/** After proof of life nothing is suspected. */
export const CLEARED: SuspicionChange = {
  presumedTimes: 0,
  presumedReason: null,
  observed: false,
  unknownTimes: 0,
  unknownCause: null,
  held: false,
};

/** Observations less than one deferral apart count once: the same moment seen twice proves nothing. */
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

/** Whether one more observation would confirm it. */
export function isConfirmable(
  before: Pick<Suspicion, "presumedTimes"> | null,
  confirmations: number,
): boolean {
  const presumedTimes = before?.presumedTimes ?? 0;
  return presumedTimes > 0 && presumedTimes >= confirmations - 1;
}

/** An inconclusive answer neither counts as an observation nor clears one. */
export function inconclusive(before: Suspicion | null, unknownCause: string): SuspicionChange {
  const { presumedTimes, presumedReason, unknownTimes } = before ?? CLEARED;
  return {
    ...CLEARED,
    presumedTimes,
    presumedReason,
    unknownTimes: unknownTimes + 1,
    unknownCause,
  };
}

const SHIELD_MARGIN_MS = 60_000;

/**
 * From our next look at a run until its deadline. The host's own watchdog ends whatever is past its deadline the first
 * time it sees it; our look may come a tick late, and a worker that took over another tick after that.
 */
export function shieldAfterLookMs(intervalMs: number): number {
  return 2 * intervalMs + SHIELD_MARGIN_MS;
}

const LONGEST_MS = 15 * 60_000;

/** How long until a run is asked about again after so many inconclusive answers: doubling, up to 15 minutes. */
export function askAgainInMs(times: number, deferMs: number): number {
  return Math.max(deferMs, Math.min(deferMs * 2 ** (times - 1), LONGEST_MS));
}
