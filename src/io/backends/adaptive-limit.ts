/**
 * How many calls to an API there may be at once: halved when it answers 429, and given back one by one.
 *
 * Answers come in bursts, so only those to calls that were sent after the last reduction count: eight 429s to calls that
 * were under way together halve the limit once, and what succeeded beside them gives nothing back.
 */
import { Semaphore } from "../semaphore.ts";
import type { Outcome } from "./call-outcome.ts";

export class AdaptiveLimit {
  readonly #configured: number;
  readonly #slots: Semaphore;
  #sent = 0;
  #sentBeforeReduction = 0;
  #successesInARow = 0;

  constructor(configured: number) {
    this.#configured = configured;
    this.#slots = new Semaphore(configured);
  }

  get current(): number {
    return this.#slots.limit;
  }

  /** `null` while it is as configured. */
  get reducedTo(): number | null {
    return this.current < this.#configured ? this.current : null;
  }

  /** The limit fell after slots had been given. Who has not sent yet gives the slot back, so that no more are in flight. */
  get overfull(): boolean {
    return this.#slots.overfull;
  }

  acquire(signal: AbortSignal): Promise<() => void> {
    return this.#slots.acquire(signal);
  }

  /** A call is being sent. What it came to is told to the function returned, which tells whether that was news. */
  send(): (outcome: Outcome) => boolean {
    this.#sent += 1;
    const number = this.#sent;
    return (outcome) => {
      const isNews = number > this.#sentBeforeReduction;
      if (isNews) this.#learn(outcome);
      return isNews;
    };
  }

  /** Never raises the limit; what it is already changes nothing. */
  reduceTo(limit: number): void {
    if (limit >= this.current) return;
    this.#slots.limit = Math.max(1, Math.floor(limit));
    this.#sentBeforeReduction = this.#sent;
    this.#successesInARow = 0;
  }

  #learn(outcome: Outcome): void {
    switch (outcome) {
      case "rate-limited":
        this.reduceTo(this.current / 2);
        break;
      case "failure":
        this.#successesInARow = 0;
        break;
      case "success":
        this.#giveBack();
        break;
      case "none":
        break;
    }
  }

  #giveBack(): void {
    this.#successesInARow += 1;
    if (this.current === this.#configured || this.#successesInARow < this.current) return;
    this.#successesInARow = 0;
    this.#slots.limit += 1;
  }
}
