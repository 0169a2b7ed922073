/** How far the clocks of other machines are from ours. Nothing is decided by it: it makes logs and pages hard to read. */

export interface ClockReading {
  /** Another machine's clock as it answered, and ours right before and after; all Unix milliseconds. */
  readonly theirMs: number;
  readonly sentMs: number;
  readonly receivedMs: number;
  /** How coarse theirs is. */
  readonly precisionMs: number;
}

export type ClockPeer = "postgres" | "redis" | "backend";

/** How far each is ahead of ours for sure, milliseconds, negative when it is behind; `null` where it is not known. */
export type ClockSkews = Readonly<Record<ClockPeer, number | null>>;

/** How far theirs is ahead of ours for sure, negative when it is behind: 0 as long as the round trip may explain it. */
export function skewMs({ theirMs, sentMs, receivedMs, precisionMs }: ClockReading): number {
  if (theirMs > receivedMs) return theirMs - receivedMs;
  if (theirMs + precisionMs < sentMs) return theirMs + precisionMs - sentMs;
  return 0;
}

/** Reading a clock takes a moment, and clocks that are kept well differ by less. */
export const CLOCK_SLACK_MS = 5000;

/**
 * What to say of a clock that is off; `null` for one that is not.
 *
 * @param skewMs how far it is ahead of ours.
 * @param ours whose clock that is.
 */
export function clockProblem(whose: string, skewMs: number, ours = "this worker's"): string | null {
  if (Math.abs(skewMs) <= CLOCK_SLACK_MS) return null;
  const direction = skewMs > 0 ? "ahead of" : "behind";
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  return `the clock of ${whose} is ${seconds} s ${direction} ${ours}, check their time service`;
}

const NAMES: Readonly<Record<ClockPeer, string>> = {
  postgres: "Postgres",
  redis: "Redis",
  backend: "the backend",
};

/** As `clockProblem`; one that is not known is not off. */
export function problemOfPeer(peer: ClockPeer, skewMs: number | null): string | null {
  return skewMs === null ? null : clockProblem(NAMES[peer], skewMs);
}

export function clockProblems(skews: ClockSkews): readonly string[] {
  const peers = ["postgres", "redis", "backend"] as const;
  return peers.map((peer) => problemOfPeer(peer, skews[peer])).filter((said) => said !== null);
}
