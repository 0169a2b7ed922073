/**
 * Lets at most so many pieces of work run at once; the rest wait in the order they came. The limit may change: when it
 * is lowered, whoever holds a slot keeps it, and nobody gets a new one until enough have been freed.
 *
 * Never wait for a slot while holding one of the same semaphore: that is how work locks itself out.
 */
export class Semaphore {
  readonly #waiting = new Set<() => void>();
  #limit: number;
  #held = 0;

  /** @param limit at least 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** More slots are held than the limit allows now: it was lowered meanwhile. */
  get overfull(): boolean {
    return this.#held > this.#limit;
  }

  /** Runs `work` while holding a slot, and frees the slot whatever the outcome. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const release = await this.acquire(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /**
   * Resolves to the function that frees the slot; calling it again does nothing. Rejects with `signal.reason` at
   * once when the signal aborts, and the place in the queue is given up.
   */
  async acquire(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#held < this.#limit) {
      this.#held += 1;
    } else {
      await this.#takeTurn(signal);
    }
    return this.#releaseOnce();
  }

  #takeTurn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(onTurn);
        reject(signal.reason);
      };
      const onTurn = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#waiting.add(onTurn);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #releaseOnce(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#held -= 1;
      this.#admit();
    };
  }

  /** Free slots go straight to the first in the queue, so that nobody who comes later can take them. */
  #admit(): void {
    for (const next of this.#waiting) {
      if (this.#held >= this.#limit) return;
      this.#held += 1;
      this.#waiting.delete(next);
      next();
    }
  }
}
