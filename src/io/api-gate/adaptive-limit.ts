/** How many calls to an API there may be at once: halved when it answers 429, and given back one by one. */
import type { Outcome } from "./circuit.ts";

export class AdaptiveLimit {
  readonly #configured: number;
  #limit: number;
  /** What of it is ours to use now. */
  #share: number;
  #inFlight = 0;
  /** `null` while nobody waits. */
  #ended: PromiseWithResolvers<void> | null = null;
  #successesInARow = 0;

  constructor(configured: number) {
    this.#configured = configured;
    this.#limit = configured;
    this.#share = configured;
  }

  /** `null` while it is as configured. */
  get reducedTo(): number | null {
    return this.#limit < this.#configured ? this.#limit : null;
  }

  get isReached(): boolean {
    return this.#inFlight >= Math.min(this.#limit, this.#share);
  }

  /** Never more than this at once from now on; calls under way end as they are. */
  shareTo(limit: number): void {
    this.#share = limit;
    this.#ended?.resolve();
    this.#ended = null;
  }

  /** Resolves when the next call has ended. Those who wait go on in the order they came. */
  get ended(): Promise<void> {
    this.#ended ??= Promise.withResolvers();
    return this.#ended.promise;
  }

  /** Only to be used while the limit is not reached. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    this.#inFlight += 1;
    try {
      return await call();
    } finally {
      this.#inFlight -= 1;
      this.#ended?.resolve();
      this.#ended = null;
    }
  }

  learn(outcome: Outcome): void {
    if (outcome === "rate-limited") this.reduceTo(this.#limit / 2);
    else if (outcome === "failure") this.#successesInARow = 0;
    else if (outcome === "success") this.#giveBack();
  }

  /** Never raises the limit; what it is already changes nothing. */
  reduceTo(limit: number): void {
    if (limit >= this.#limit) return;
    this.#limit = Math.max(1, Math.floor(limit));
    this.#successesInARow = 0;
  }

  #giveBack(): void {
    this.#successesInARow += 1;
    if (this.#successesInARow < this.#limit) return;
    this.#successesInARow = 0;
    this.#limit = Math.min(this.#limit + 1, this.#configured);
  }
}
