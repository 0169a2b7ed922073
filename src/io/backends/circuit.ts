/**
 * One circuit breaker: after so many failures in a row nothing is asked for a while, then one call tries.
 *
 * cockatiel keeps count and state. It is told each outcome once it is known, as a call that has ended: an aborted call is
 * then simply never told, be it the one that tries, and cockatiel never makes anybody wait. It measures with Date.now(),
 * which steps when a clock is set, so the time until the next try is kept here.
 */
import {
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhenResult,
} from "cockatiel";
import type { Clock } from "../../watchdog/ports.ts";
import type { Outcome } from "./call-outcome.ts";

const FAILURES_TO_OPEN = 5;
const FIRST_WAIT_MS = 10_000;
/** Less than a minute, so that each tick of the usual schedule finds a try that is due. */
const LONGEST_WAIT_MS = 50_000;

/** cockatiel lets a call through when more time has passed than this: always. */
const AT_ANY_TIME = Number.NEGATIVE_INFINITY;

export class Circuit {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #policy = circuitBreaker(
    handleWhenResult((outcome) => outcome !== "success"),
    {
      breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN),
      halfOpenAfter: new DelegateBackoff<unknown, number>((_, lastWaitMs) => ({
        delay: AT_ANY_TIME,
        state: this.#opened(lastWaitMs),
      })),
    },
  );
  /** Whose credentials were refused since the last success. */
  readonly #refused = new Set<string>();
  #openings = 0;
  #tryAtMs = 0;
  #trial: Promise<void> | null = null;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** `half-open`: the next call, or the one that is under way, decides. */
  get state(): "closed" | "half-open" | "open" {
    if (this.#isClosed) return "closed";
    return this.waitMs > 0 ? "open" : "half-open";
  }

  /** How long nothing may be asked. */
  get waitMs(): number {
    return this.#isClosed ? 0 : Math.max(0, this.#tryAtMs - this.#clock.monotonicMs());
  }

  /** Settles when the call that tries has ended; `null` when there is none. */
  get trial(): Promise<void> | null {
    return this.#trial;
  }

  /** Makes a call. Only to be used while there is nothing to wait for, neither time nor a trial. */
  async run<T extends { readonly outcome: Outcome }>(call: () => Promise<T>): Promise<T> {
    const openings = this.#openings;
    const ended = Promise.withResolvers<void>();
    const tries = !this.#isClosed;
    if (tries) this.#trial = ended.promise;
    try {
      const result = await call();
      // What was sent before the circuit opened says nothing about how the API is doing since.
      if (openings === this.#openings) await this.#tell(result.outcome);
      return result;
    } finally {
      if (tries) this.#trial = null;
      ended.resolve();
    }
  }

  /**
   * A credential of this owner's is of no use any more. That can be the owner's affair, so each counts once; when nobody
   * is let in, it is the API's.
   */
  async refused(owner: string): Promise<void> {
    if (this.state === "open" || this.#refused.has(owner)) return;
    this.#refused.add(owner);
    if (this.#isClosed || this.#refused.size >= FAILURES_TO_OPEN) await this.#tell("failure");
  }

  get #isClosed(): boolean {
    return this.#policy.state === CircuitState.Closed;
  }

  async #tell(outcome: Outcome): Promise<void> {
    if (outcome === "none") return;
    if (outcome === "success") this.#refused.clear();
    await this.#policy.execute(() => outcome);
  }

  /** @returns how long to wait for the next try. */
  #opened(lastWaitMs: number | undefined): number {
    const waitMs =
      lastWaitMs === undefined ? FIRST_WAIT_MS : Math.min(2 * lastWaitMs, LONGEST_WAIT_MS);
    this.#openings += 1;
    this.#refused.clear();
    this.#tryAtMs = this.#clock.monotonicMs() + waitMs;
    return waitMs;
  }
}
