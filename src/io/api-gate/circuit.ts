/**
 * For how long something is not to be asked: as long as it asked for itself, and for a growing while after so many
 * failures in a row. After such a while a single failure is enough for the next.
 */
import type { RunSnapshot } from "../../rules/model.ts";
import type { Clock } from "../../watchdog/ports.ts";

/** What an answer says about the API that gave it. `none`: nothing, neither that it is well nor that it is not. */
export type Outcome = "success" | "rate-limited" | "failure" | "none";

/** Whose run or sandbox it is, as rows have it: both ids can be missing. */
export type Owner = Pick<RunSnapshot, "userId" | "orgId">;

/** A key for maps; different owners never share one, whatever their ids look like. */
export function ownerName({ userId, orgId }: Owner): string {
  return JSON.stringify([userId, orgId]);
}

/** What so many calls, or so many owners, meet in a row is not their own trouble any more. */
const IN_A_ROW = 5;

const FIRST_WAIT_MS = 10_000;
/** Less than a minute, so that each tick of the usual schedule finds a try that is due. */
const LONGEST_WAIT_MS = 50_000;

export class Circuit {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #failures = 0;
  /** Those who failed since the last success by what may be their own affair. */
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
    return Math.max(0, this.#openUntilMs - this.#clock.monotonicMs());
  }

  get pausedMs(): number {
    return Math.max(0, this.#pausedUntilMs - this.#clock.monotonicMs());
  }

  /** Makes no pause shorter. */
  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#clock.monotonicMs() + ms);
  }

  /**
   * @param owner whose own affair a failure may be: it counts once for each of them.
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
