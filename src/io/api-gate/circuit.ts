/**
 * How long something must not be asked: for the pause it asked for, and, as a circuit breaker, for a growing time after
 * several failures in a row. After that time a single failure opens the circuit again.
 */
import type { RunSnapshot } from "../../rules/model.ts";
import type { Clock } from "../../watchdog/ports.ts";

/** What an answer says about the API that gave it. `none`: nothing. */
export type Outcome = "success" | "rate-limited" | "failure" | "none";

/** Whose run or sandbox it is, as rows have it: both ids can be missing. */
export type Owner = Pick<RunSnapshot, "userId" | "orgId">;

/** A key for maps; different owners never share one, whatever their ids look like. */
export function ownerName({ userId, orgId }: Owner): string {
  return JSON.stringify([userId, orgId]);
}

/** When so many calls or owners fail in a row, the cause is not one of them. */
const IN_A_ROW = 5;

const FIRST_WAIT_MS = 10_000;
/** Less than a minute, so that a call may be tried at each tick of the usual schedule. */
const LONGEST_WAIT_MS = 50_000;

export class Circuit {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #failures = 0;
  /** Those who failed since the last success, where the cause may be the owner. */
  readonly #owners = new Set<unknown>();
  #openings = 0;
  #openUntilMs = 0;
  #pausedUntilMs = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** `half-open`: the next call decides. */
  get state(): "closed" | "half-open" | "open" {
    if (this.#openings === 0) return "closed";
    return this.openMs > 0 ? "open" : "half-open";
  }

  get openMs(): number {
    return this.#until(this.#openUntilMs);
  }

  get pausedMs(): number {
    return this.#until(this.#pausedUntilMs);
  }

  /** Nearly all calls are made while nothing was ever open or paused. */
  #until(ms: number): number {
    return ms === 0 ? 0 : Math.max(0, ms - this.#clock.monotonicMs());
  }

  /** Makes no pause shorter. */
  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#clock.monotonicMs() + ms);
  }

  /**
   * @param owner who may be the cause of a failure: it counts once for each owner.
   * @returns whether the circuit has opened.
   */
  learn(outcome: Outcome, owner?: unknown): boolean {
    if (outcome === "none" || this.openMs > 0) return false;
    if (outcome === "success") {
      this.#openings = 0;
      this.#countFrom(0);
      return false;
    }
    if (owner === undefined) this.#failures += 1;
    else this.#owners.add(owner);
    if (Math.max(this.#failures, this.#owners.size) < IN_A_ROW) return false;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** this.#openings, LONGEST_WAIT_MS);
    this.#openUntilMs = this.#clock.monotonicMs() + waitMs;
    this.#openings += 1;
    this.#countFrom(IN_A_ROW - 1);
    return true;
  }

  #countFrom(failures: number): void {
    this.#failures = failures;
    this.#owners.clear();
  }
}
