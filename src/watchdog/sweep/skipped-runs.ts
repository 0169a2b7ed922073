import type { StaleQuery } from "../store-ports.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./model.ts";

const MICROSECOND_MS = 0.001;

/** Collects the runs about which the shared API must not be asked now, and defers many of them with one statement. */
export class SkippedRuns {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #query: StaleQuery;
  #waiting = new Map<string, string>();
  #deferred = 0;

  constructor(deps: SweepDeps, options: SweepOptions, term: SweepTerm, query: StaleQuery) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
    this.#query = query;
  }

  add(runId: string, reason: string): void {
    this.#waiting.set(runId, reason);
  }

  async deferWhenMany(): Promise<void> {
    if (this.#waiting.size >= this.#options.pageSize) await this.defer();
  }

  /** @throws what ends the sweep. */
  async defer(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const { store, onSkipped, onProgress } = this.#deps;
    const runs = this.#waiting;
    this.#waiting = new Map();
    // Behind those that were deferred before them.
    const deferMs = this.#options.deferMs + this.#deferred * MICROSECOND_MS;
    const deferral = { deferMs, shieldMs: this.#options.shieldMs };
    await store.deferSkipped([...runs.keys()], this.#query, deferral, this.#term.fence);
    this.#deferred += runs.size;
    onProgress();
    for (const [runId, reason] of runs) {
      onSkipped({ runId, action: "skipped", basis: null, reason, verifyMs: null });
    }
  }
}
