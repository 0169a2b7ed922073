import { notAskedCause } from "../../rules/cause.ts";
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

  /** Its outcome is told when it has been deferred. */
  add(runId: string, reason: string): null {
    this.#waiting.set(runId, reason);
    return null;
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
    const why = [...runs].map(([runId, reason]) => [runId, notAskedCause(reason)]);
    const causes = Object.fromEntries(why);
    const deferral = { deferMs, shieldMs: shieldAfterLookMs(request.intervalMs), causes };
    await store.deferSkipped([...runs.keys()], query, deferral, fence);
    this.#deferred += runs.size;
    for (const [runId, reason] of runs) {
      outcomes.addUnserved({ runId, action: "skipped", basis: null, reason, verifyMs: null });
    }
  }
}
