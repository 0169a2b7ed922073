import { untilAborted } from "../concurrency/linked-signal.ts";
import type { Fence } from "../ports.ts";
import { type FirstRunDeps, recordFirstRuns } from "./first-runs.ts";
import { type CleanupDeps, Cleanups } from "./sandbox-deletions.ts";

export type AfterVerdictsDeps = CleanupDeps & FirstRunDeps;

/** How many sandboxes are deleted at once. */
export interface CleanupSlots {
  /** While runs are still being judged: verdicts come first, and both share the API. */
  readonly beside: number;
  readonly after: number;
}

export interface AfterVerdictsOptions {
  readonly slots: CleanupSlots;
  /** From a presumption until it counts as its automation's outcome. */
  readonly presumedForMs: number;
}

export interface AfterVerdictsSummary {
  readonly done: number;
  readonly abandoned: number;
}

/**
 * What follows a committed verdict: the sandbox is deleted, the automation's first outcome recorded. Everything comes
 * from the journal, so whatever is left undone is taken up by the next sweep, whoever makes it.
 */
export class AfterVerdicts {
  readonly #deps: AfterVerdictsDeps;
  readonly #fence: Fence;
  readonly #options: AfterVerdictsOptions;
  readonly #cleanups: Cleanups;
  #wake = Promise.withResolvers<void>();
  #sweepEnded = false;

  constructor(deps: AfterVerdictsDeps, fence: Fence, options: AfterVerdictsOptions) {
    this.#deps = deps;
    this.#fence = fence;
    this.#options = options;
    this.#cleanups = new Cleanups(deps, fence);
  }

  /** A verdict was written: there may be something to do. */
  nudge(): void {
    this.#wake.resolve();
  }

  /** No more verdicts will come: the loops end when nothing is due any more. */
  endSweep(): void {
    this.#sweepEnded = true;
    this.#wake.resolve();
  }

  get summary(): AfterVerdictsSummary {
    const { done, abandoned } = this.#cleanups;
    return { done, abandoned };
  }

  /** @throws what the journal or the fence throws, or `signal.reason`. What was in flight has ended by then. */
  async run(signal: AbortSignal): Promise<void> {
    const { presumedForMs } = this.#options;
    const settled = await Promise.allSettled([
      this.#repeat(() => this.#cleanUp(signal), signal),
      this.#repeat(() => recordFirstRuns(this.#deps, presumedForMs, this.#fence, signal), signal),
    ]);
    for (const loop of settled) if (loop.status === "rejected") throw loop.reason;
  }

  /** Runs `pass` until the sweep has ended and a pass begun after that has found everything done. */
  async #repeat(pass: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      const last = this.#sweepEnded;
      const { promise } = this.#wake;
      await pass();
      if (last) return;
      await untilAborted(promise, signal);
      if (this.#wake.promise === promise) this.#wake = Promise.withResolvers();
    }
  }

  /** A pass beside the sweep ends early with it, so that the next one goes on with more slots. */
  #cleanUp(signal: AbortSignal): Promise<void> {
    const after = this.#sweepEnded;
    const { slots } = this.#options;
    return this.#cleanups.pass(
      after ? slots.after : slots.beside,
      () => after || !this.#sweepEnded,
      signal,
    );
  }
}
