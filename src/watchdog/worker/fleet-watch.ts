import { clockSkewMs } from "../../rules/clock-skew.ts";
import type { FigureReads, FigureTimes, FleetFigures } from "../figure-ports.ts";
import type { Clock, Log } from "../ports.ts";

/** What the database says of the whole fleet. */
export interface FleetSight {
  /** Monotonic milliseconds. */
  readonly seenAtMs: number;
  readonly figures: FleetFigures;
  /** The database's clock against ours, at least; positive when it is ahead. */
  readonly clockSkewMs: number;
}

export interface FleetWatchDeps {
  readonly figures: FigureReads;
  readonly clock: Clock;
  readonly log: Log;
}

/** Looks at the fleet when it is told to, never twice at once, and answers from memory. */
export class FleetWatch {
  readonly #deps: FleetWatchDeps;
  readonly #times: FigureTimes;
  #sight: FleetSight | null = null;
  #looking: Promise<void> | null = null;
  #again = false;

  constructor(deps: FleetWatchDeps, times: FigureTimes) {
    this.#deps = deps;
    this.#times = times;
  }

  /** As it was when the database last answered; `null` before that. */
  get sight(): FleetSight | null {
    return this.#sight;
  }

  /** Returns at once. What is asked for during a look is answered by one more, that begins after it. */
  look(): void {
    if (this.#looking === null) this.#looking = this.#lookUntilCurrent();
    else this.#again = true;
  }

  /** Resolves when no look is under way. */
  async end(): Promise<void> {
    this.#again = false;
    await this.#looking;
  }

  async #lookUntilCurrent(): Promise<void> {
    do {
      this.#again = false;
      await this.#look();
    } while (this.#again);
    this.#looking = null;
  }

  /** A database that is away is told by those who need it. */
  async #look(): Promise<void> {
    const { figures, clock, log } = this.#deps;
    try {
      const askedAtMs = clock.now().getTime();
      const seen = await figures.figures(this.#times);
      const skewMs = clockSkewMs(askedAtMs, clock.now().getTime(), seen.nowMs);
      const seenAtMs = clock.monotonicMs();
      this.#sight = { seenAtMs, figures: seen, clockSkewMs: skewMs };
    } catch (error) {
      log.debug({ err: error }, "the fleet could not be counted");
    }
  }
}
