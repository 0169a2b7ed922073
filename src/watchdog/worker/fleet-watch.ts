import type { ClockReading } from "../../rules/clock-skew.ts";
import type { FigureReads, FigureTimes, FleetFigures } from "../figure-ports.ts";
import type { Clock, Log } from "../ports.ts";

/** What the database says of the whole fleet. */
export interface FleetSight {
  /** Monotonic milliseconds. */
  readonly seenAtMs: number;
  readonly figures: FleetFigures;
}

export interface FleetWatchDeps {
  readonly figures: FigureReads;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of the database's clock with every look. Must not throw. */
  readonly onClock: (reading: ClockReading) => void;
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
    const { figures, clock, log, onClock } = this.#deps;
    try {
      const sentMs = clock.now().getTime();
      const seen = await figures.figures(this.#times);
      const receivedMs = clock.now().getTime();
      this.#sight = { seenAtMs: clock.monotonicMs(), figures: seen };
      onClock({ theirMs: seen.nowMs, sentMs, receivedMs, precisionMs: 1 });
    } catch (error) {
      log.debug({ err: error }, "the fleet could not be counted");
    }
  }
}
