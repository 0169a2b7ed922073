import { clockProblem } from "../health.ts";
import { type Check, ok, warning } from "./check.ts";

/** Another machine's clock as it answered, and ours right before and after. Unix milliseconds. */
export interface ClockReading {
  readonly theirMs: number;
  readonly sentMs: number;
  readonly receivedMs: number;
  /** How coarse theirs is. */
  readonly precisionMs: number;
}

/** How far theirs is ahead of ours for sure, negative when it is behind: 0 as long as the round trip may explain it. */
export function skewMs({ theirMs, sentMs, receivedMs, precisionMs }: ClockReading): number {
  if (theirMs > receivedMs) return theirMs - receivedMs;
  if (theirMs + precisionMs < sentMs) return theirMs + precisionMs - sentMs;
  return 0;
}

export function checkClock(link: string, whose: string, reading: ClockReading): Check {
  const problem = clockProblem(whose, skewMs(reading));
  return problem === null
    ? ok(link, `the clock of ${whose} agrees with ours`)
    : warning(link, problem);
}
