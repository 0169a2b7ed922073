import { withDeadline } from "../concurrency/deadline.ts";
import type { Clock } from "../ports.ts";

/** The ticks of the schedule, as something to wait for. */
export class Ticks {
  readonly #clock: Clock;
  /** Resolves at the next tick; a new one is made whenever ticks are to be waited for. */
  #next = Promise.withResolvers<void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  came(): void {
    this.#next.resolve();
  }

  /** Those that came until now are not waited for any more. */
  drop(): void {
    this.#next = Promise.withResolvers();
  }

  /** True when a tick came; false when `waitMs` passed first (`null`: never) or the signal aborted. */
  async until(waitMs: number | null, signal: AbortSignal): Promise<boolean> {
    const { promise } = this.#next;
    try {
      const ticked = await withDeadline(this.#clock, waitMs ?? FOREVER_MS, () => promise, signal);
      return ticked.kind === "done" && !signal.aborted;
    } catch {
      return false;
    }
  }
}

/** The longest a Node timer can wait; a tick or the signal ends the wait before. */
const FOREVER_MS = 2 ** 31 - 1;
