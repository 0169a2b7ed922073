import type { Clock } from "../../../src/watchdog/ports.ts";

const STARTED_AT_MS = Date.UTC(2026, 0, 1);

interface Sleeper {
  readonly dueMs: number;
  readonly wake: () => void;
}

/**
 * Time that stands still until a test moves it. Everything that waits has to wait through this clock; a sleep of 0 ms
 * ends with the next `advance`, even one by 0 ms.
 */
export class FakeClock implements Clock {
  #elapsedMs = 0;
  #wallOffsetMs = 0;
  readonly #sleepers = new Set<Sleeper>();

  now(): Date {
    return new Date(STARTED_AT_MS + this.#wallOffsetMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** How many sleeps have neither ended nor been aborted. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (signal.aborted) {
      reject(signal.reason);
      return promise;
    }
    const giveUp = () => {
      cancel();
      reject(signal.reason);
    };
    const cancel = this.after(ms, () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
    signal.addEventListener("abort", giveUp, { once: true });
    return promise;
  }

  after(ms: number, fire: () => void): () => void {
    const end = () => this.#sleepers.delete(sleeper);
    const sleeper: Sleeper = {
      dueMs: this.#elapsedMs + Math.max(0, ms),
      wake() {
        end();
        fire();
      },
    };
    this.#sleepers.add(sleeper);
    return end;
  }

  /**
   * Moves time on. Sleeps end in the order in which they are due, each at its own time, and what follows from one has
   * happened before the next one ends.
   */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#elapsedMs + ms;
    await settle();
    for (let next = this.#next(untilMs); next !== null; next = this.#next(untilMs)) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      next.wake();
      await settle();
    }
    this.#elapsedMs = untilMs;
    await settle();
  }

  /** Moves time on while the event loop is blocked: nothing gets to run, and no sleep ends before the next `advance`. */
  block(ms: number): void {
    this.#elapsedMs += ms;
  }

  /** Sets the wall clock forward or back; monotonic time goes on as if nothing had happened. */
  stepWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** The first due one; of several due at the same time the one that began first. */
  #next(untilMs: number): Sleeper | null {
    let first: Sleeper | null = null;
    for (const sleeper of this.#sleepers) {
      if (sleeper.dueMs <= untilMs && (first === null || sleeper.dueMs < first.dueMs)) {
        first = sleeper;
      }
    }
    return first;
  }
}

/** One turn of the event loop: all promise reactions that can run have run by then. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
