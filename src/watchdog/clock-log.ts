import { CLOCK_SLACK_MS, type ClockPeer, problemOfPeer } from "../rules/clock-skew.ts";
import type { Log } from "./ports.ts";

/** Logs a clock that is off: when that begins, when it is off by much more or less, and when it ends. */
export class ClockLog {
  readonly #log: Log;
  /** By how much, as it was logged last. */
  readonly #said = new Map<ClockPeer, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param skewMs how far it is ahead of ours. */
  saw(clock: ClockPeer, skewMs: number): void {
    const problem = problemOfPeer(clock, skewMs);
    const isNew = Math.abs(skewMs - (this.#said.get(clock) ?? 0)) > CLOCK_SLACK_MS;
    if (problem === null) {
      // One at the very limit does not begin and end with every look.
      const isOver = isNew || Math.abs(skewMs) <= CLOCK_SLACK_MS / 2;
      if (isOver && this.#said.delete(clock)) this.#log.info({ clock }, "a clock is right again");
      return;
    }
    if (!isNew) return;
    this.#said.set(clock, skewMs);
    const skewSeconds = Math.round(skewMs / 1000);
    this.#log.warn({ clock, skewSeconds, problem }, "a clock is off");
  }
}
