/**
 * Slots for work of several parties at the same time. A free one goes to the party that has fewest: whoever came first
 * does not keep the others waiting, and whoever is alone has all of them.
 */
export class SharedSlots {
  readonly #limit: number;
  readonly #waiting = new Map<number, (() => void)[]>();
  readonly #taken = new Map<number, number>();
  #free: number;

  constructor(limit: number) {
    this.#limit = limit;
    this.#free = limit;
  }

  /** How many are taken, of all parties together. */
  get taken(): number {
    return this.#limit - this.#free;
  }

  /** @throws what `work` throws, or `signal.reason` while it waits for a slot. */
  async run<T>(party: number, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#take(party);
    else await this.#wait(party, signal);
    try {
      return await work();
    } finally {
      this.#give(party);
    }
  }

  #take(party: number): void {
    this.#free -= 1;
    this.#taken.set(party, this.#of(party) + 1);
  }

  #wait(party: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const go = () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    };
    const giveUp = () => {
      this.#leave(party, go);
      reject(signal.reason);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    const queue = this.#waiting.get(party) ?? [];
    queue.push(go);
    this.#waiting.set(party, queue);
    return promise;
  }

  #leave(party: number, go: () => void): void {
    const left = (this.#waiting.get(party) ?? []).filter((waiting) => waiting !== go);
    if (left.length === 0) this.#waiting.delete(party);
    else this.#waiting.set(party, left);
  }

  #give(party: number): void {
    this.#free += 1;
    this.#taken.set(party, this.#of(party) - 1);
    const [poorest] = [...this.#waiting.keys()].sort((a, b) => this.#of(a) - this.#of(b));
    if (poorest === undefined) return;
    const [next] = this.#waiting.get(poorest) ?? [];
    if (next === undefined) return;
    this.#leave(poorest, next);
    this.#take(poorest);
    next();
  }

  #of(party: number): number {
    return this.#taken.get(party) ?? 0;
  }
}
