/** What the watchdogs log: printed as it comes, and added up. */
import { COUNTED, type Counted, counted, countsText } from "./screen/tables.ts";
import type { LogEntry, Watchdog } from "./watchdogs/watchdogs.ts";

export interface TimelineOptions {
  readonly announce: (text: string) => void;
  readonly onSweep: () => void;
}

export interface Held {
  readonly count: number;
  readonly by: Watchdog;
}

export class Timeline {
  readonly #options: TimelineOptions;
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
  #failure: Error | null = null;
  #closed = false;

  constructor(options: TimelineOptions) {
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

  /** But for what is suspected and what is held, for which many have to stop at once. */
  get everyActionWasSeen(): boolean {
    const { suspected: _, held: __, ...seen } = this.#counts;
    return this.#errorCause !== null && Object.values(seen).every((count) => count > 0);
  }

  /** The rest is not worth a line any more. */
  close(): void {
    this.#closed = true;
  }

  /** @throws when a watchdog ended that was not told to. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  readonly onLog = (watchdog: Watchdog, entry: LogEntry): void => {
    if (this.#closed) return;
    if (entry.msg === "a run could not be handled") this.#addError(watchdog, entry);
    if (entry.msg === "sweep finished" && entry.counts !== undefined) {
      this.#addSweep(watchdog, entry, entry.counts);
    }
  };

  readonly onExit = ({ letter }: Watchdog, lastLines: string): void => {
    if (this.#closed) this.#options.announce(`${letter} has ended`);
    else this.#failure = new Error(`watchdog ${letter} ended by itself:\n${lastLines}`);
  };

  #addError({ letter }: Watchdog, { reason }: LogEntry): void {
    if (this.#errorCause !== null) return;
    this.#errorCause = reason ?? "unexpected error";
    this.#options.announce(
      `${letter} reports an error: ${this.#errorCause}. A trigger of the host's swallows every update of this one run; the watchdog sees that and says so, and does not take it for a lost race`,
    );
  }

  #addSweep(
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
    this.#options.announce(
      `${watchdog.letter} swept ${counted(counts.stale, "run")} in ${tookS} s: ${countsText(counts)}`,
    );
  }
}
