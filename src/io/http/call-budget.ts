/**
 * The time a verification may spend in calls. Only time inside calls counts, so that waiting for a slot, which other
 * runs cause, does not turn into a timeout of this one.
 */
export class CallBudget {
  readonly totalMs: number;
  #leftMs: number;

  constructor(totalMs: number) {
    this.totalMs = totalMs;
    this.#leftMs = totalMs;
  }

  get leftMs(): number {
    return this.#leftMs;
  }

  spend(ms: number): void {
    this.#leftMs = Math.max(0, this.#leftMs - ms);
  }
}
