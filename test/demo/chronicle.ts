/** What the watchdogs' logs tell: said as it comes, and added up. */
import type { LogEntry, Watchdog } from "./fleet.ts";
import { COUNTED, type Counted, counted, countsText } from "./summary.ts";

export interface ChronicleOptions {
  readonly tell: (text: string) => void;
  readonly onSweep: () => void;
}

export interface Held {
  readonly count: number;
  readonly by: Watchdog;
}

export class Chronicle {
  readonly #options: ChronicleOptions;
  readonly #counts = {
    deferred: 0,
    suspected: 0,
    held: 0,
    undetermined: 0,
    lostRace: 0,
    busy: 0,
    errors: 0,
  };
  #mostHeld: Held | null = null;
  #sweeps = 0;
  #errorCause: string | null = null;
  #broken: Error | null = null;
  #closed = false;

  constructor(options: ChronicleOptions) {
    this.#options = options;
  }

  /** Over all sweeps that came to their end. */
  get counts(): Counted {
    return this.#counts;
  }

  get sweeps(): number {
    return this.#sweeps;
  }

  get errorCause(): string {
    return this.#errorCause ?? "";
  }

  /** The most verdicts that one sweep held back. */
  get mostHeld(): Held | null {
    return this.#mostHeld;
  }

  /** But for suspicions and what is held, for which a mass is to come. */
  get everythingWasSeen(): boolean {
    const { suspected: _, held: __, ...seen } = this.#counts;
    return this.#errorCause !== null && Object.values(seen).every((count) => count > 0);
  }

  /** The rest is not worth a line any more. */
  close(): void {
    this.#closed = true;
  }

  /** @throws when a watchdog ended that was not told to. */
  check(): void {
    if (this.#broken !== null) throw this.#broken;
  }

  readonly hear = (watchdog: Watchdog, entry: LogEntry): void => {
    if (this.#closed) return;
    if (entry.msg === "a run could not be handled") this.#hearError(watchdog, entry);
    if (entry.msg === "sweep finished" && entry.counts !== undefined) {
      this.#hearSweep(watchdog, entry, entry.counts);
    }
  };

  readonly lose = ({ letter }: Watchdog, lastWords: string): void => {
    if (this.#closed) this.#options.tell(`${letter} has ended`);
    else this.#broken = new Error(`watchdog ${letter} ended by itself:\n${lastWords}`);
  };

  #hearError({ letter }: Watchdog, { reason }: LogEntry): void {
    if (this.#errorCause !== null) return;
    this.#errorCause = reason ?? "unexpected error";
    this.#options.tell(
      `${letter} reports an error: ${this.#errorCause}. A trigger of the host's swallows every update of this one run; that is seen, said, and never taken for a lost race`,
    );
  }

  #hearSweep(
    watchdog: Watchdog,
    { durationMs = 0 }: LogEntry,
    counts: NonNullable<LogEntry["counts"]>,
  ): void {
    this.#options.onSweep();
    this.#sweeps += 1;
    for (const key of COUNTED) this.#counts[key] += counts[key];
    if (counts.held > (this.#mostHeld?.count ?? 0)) {
      this.#mostHeld = { count: counts.held, by: watchdog };
    }
    if (counts.stale === 0) return;
    const tookS = (durationMs / 1000).toFixed(1);
    this.#options.tell(
      `${watchdog.letter} swept ${counted(counts.stale, "run")} in ${tookS} s: ${countsText(counts)}`,
    );
  }
}
