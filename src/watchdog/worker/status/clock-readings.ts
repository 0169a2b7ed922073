import {
  type ClockPeer,
  type ClockReading,
  type ClockSkews,
  skewMs,
} from "../../../rules/clock-skew.ts";
import type { Clock } from "../../ports.ts";

/** Since then either clock may have been set right. */
const KNOWN_FOR_MS = 3_600_000;

/** Other machines' clocks as they were read last; what was read long ago is forgotten. */
export class ClockReadings {
  readonly #clock: Pick<Clock, "now">;
  readonly #readings = new Map<ClockPeer, ClockReading>();

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  saw(peer: ClockPeer, reading: ClockReading): void {
    this.#readings.set(peer, reading);
  }

  get skewsMs(): ClockSkews {
    return {
      postgres: this.#skewOf("postgres"),
      redis: this.#skewOf("redis"),
      backend: this.#skewOf("backend"),
    };
  }

  #skewOf(peer: ClockPeer): number | null {
    const reading = this.#readings.get(peer);
    if (reading === undefined) return null;
    const ageMs = Math.abs(this.#clock.now().getTime() - reading.receivedMs);
    return ageMs < KNOWN_FOR_MS ? skewMs(reading) : null;
  }
}
