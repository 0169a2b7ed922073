import { describe, expect, it } from "vitest";
import { decide, type GuardPolicy, isMassFailure } from "../../src/rules/guard.ts";

/** The product's defaults. */
const POLICY: GuardPolicy = {
  confirmations: 2,
  min: 5,
  ratio: 0.25,
  perHour: 60,
  unverifiableAfterMs: 86_400_000,
};
const MINUTE_MS = 60_000;
const LOST = 0.02;
const DAY_MIN = 24 * 60;
/** Runs need no callback here, so that every one of them comes to the watchdog. */
const FLEETS = [10, 1_000, 100_000];

describe("a day of the guard, with a sweep every minute and two runs in a hundred lost", () => {
  for (const perHour of FLEETS) {
    it(`keeps up with ${perHour} runs an hour`, () => {
      const day = new Day(perHour);
      let most = 0;
      for (let minute = 0; minute < DAY_MIN; minute += 1) {
        day.sweep(LOST);
        most = Math.max(most, day.waiting);
      }
      // Those of two minutes: seen once, and seen again. A fleet that has just begun has proven little yet.
      const inTwoMinutes = Math.ceil((2 * perHour * LOST) / 60) + 1;
      const duringTheFirstHour = Math.ceil(perHour * LOST);
      expect(most).toBeLessThanOrEqual(inTwoMinutes + duringTheFirstHour);
      expect(day.waiting).toBeLessThanOrEqual(inTwoMinutes);
    });

    it(`holds a mass at ${perHour} runs an hour, all of it`, () => {
      const day = new Day(perHour);
      for (let minute = 0; minute < DAY_MIN / 2; minute += 1) day.sweep(LOST);
      const before = day.ended;
      const waiting = day.waiting;
      // Everything that is asked about looks dead from now on.
      while (!day.sawMass) day.sweep(1);
      for (let minute = 0; minute < 60; minute += 1) day.sweep(1);
      expect(day.sawMass).toBe(true);
      expect(day.ended - before).toBeLessThanOrEqual(waiting + POLICY.min);
    });
  }

  it("would never catch up at 100,000 runs an hour with a cap that is fixed", () => {
    const day = new Day(100_000, { ...POLICY, ratio: 0 });
    for (let minute = 0; minute < 180; minute += 1) day.sweep(LOST);
    expect(day.waiting).toBeGreaterThan(5_000);
  });
});

/** What the guard is told in each sweep, and what becomes of those whose presumption it is asked about. */
class Day {
  readonly #perMinute: number;
  readonly #policy: GuardPolicy;
  /** By the minute: presumptions applied, verdicts proven. */
  readonly #applied: number[] = [];
  readonly #proven: number[] = [];
  #seenOnce: number[] = [];
  #confirmed: number[] = [];
  #minute = 0;
  #due = 0;
  #lost = 0;
  ended = 0;
  sawMass = false;

  constructor(perHour: number, policy = POLICY) {
    this.#perMinute = perHour / 60;
    this.#policy = policy;
  }

  /** Suspected and held. */
  get waiting(): number {
    return this.#seenOnce.length + this.#confirmed.length;
  }

  /** @param share of the runs that become due in this minute and look lost. */
  sweep(share: number): void {
    this.#minute += 1;
    const due = this.#whole(this.#perMinute);
    const lost = Math.min(due, this.#wholeLost(due * share));
    this.#confirmed.push(...this.#seenOnce);
    this.#seenOnce = Array.from({ length: lost }, () => this.#minute);
    const proven = due - lost;
    const scene = {
      life: proven > 0 ? "seen" : "nobody-to-ask",
      answered: due + this.#confirmed.length,
      presumed: this.waiting,
      appliedLastHour: lastHour(this.#applied),
      provenLastHour: lastHour(this.#proven),
    } as const;
    this.sawMass ||= isMassFailure(scene, this.#policy);
    // Their hard deadline was when they became due: none is near its bound.
    const overdueMs = (since: number) => (this.#minute - since) * MINUTE_MS;
    const { apply, hold } = decide(this.#confirmed, overdueMs, scene, this.#policy);
    this.#confirmed = [...hold];
    this.ended += apply.length;
    this.#applied.push(apply.length);
    this.#proven.push(proven);
  }

  #whole(count: number): number {
    this.#due += count;
    const whole = Math.floor(this.#due);
    this.#due -= whole;
    return whole;
  }

  #wholeLost(count: number): number {
    this.#lost += count;
    const whole = Math.floor(this.#lost);
    this.#lost -= whole;
    return whole;
  }
}

function lastHour(counts: readonly number[]): number {
  return counts.slice(-60).reduce((sum, count) => sum + count, 0);
}
