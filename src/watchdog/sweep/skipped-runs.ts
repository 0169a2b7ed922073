import { shieldAfterLookMs } from "../../rules/suspicion.ts";
import type { SweepContext } from "./model.ts";

const MICROSECOND_MS = 0.001;

/** Collects the runs about which the shared API must not be asked now, and defers many of them with one statement. */
export class SkippedRuns {
  readonly #context: SweepContext;
  #waiting = new Map<string, string>();
  #deferred = 0;

  constructor(context: SweepContext) {
    this.#context = context;
  }

  add(runId: string, reason: string): void {
    this.#waiting.set(runId, reason);
  }

  async deferWhenMany(): Promise<void> {
    if (this.#waiting.size >= this.#context.options.pageSize) await this.defer();
  }

  /** @throws what ends the sweep. */
  async defer(): Promise<void> {
    if (this.#waiting.size === 0) return;
    const { store, query, fence, options, request, outcomes } = this.#context;
    const runs = this.#waiting;
    this.#waiting = new Map();
    // Behind those that were deferred before them.
    const deferMs = options.deferMs + this.#deferred * MICROSECOND_MS;
    const deferral = { deferMs, shieldMs: shieldAfterLookMs(request.intervalMs) };
    await store.deferSkipped([...runs.keys()], query, deferral, fence);
    this.#deferred += runs.size;
    for (const [runId, reason] of runs) {
      outcomes.addBlocked({ runId, action: "skipped", basis: null, reason, verifyMs: null });
    }
  }
}
