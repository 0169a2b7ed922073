import { withFirstRun } from "../../rules/cleanup/first-run.ts";
import { isolated } from "../errors.ts";
import type { FirstRunTask } from "../journal-ports.ts";
import type { Fence } from "../ports.ts";
import { type CleanupDeps, Cleanups } from "./sandbox-deletions.ts";

/** How many sandboxes are deleted at once. */
export interface CleanupSlots {
  /** While runs are still being judged: verdicts come first, and both share the API. */
  readonly beside: number;
  readonly after: number;
}

export interface AfterVerdictsOptions {
  readonly slots: CleanupSlots;
  /** From a presumption until it counts as its automation's outcome; a late callback may overturn a younger one. */
  readonly presumedForMs: number;
}

const FIRST_RUN_PAGE = 50;

/**
 * What follows a committed verdict: the sandbox is deleted, the automation's first outcome recorded. Everything comes
 * from the journal, so whatever is left undone is taken up by the next sweep, whoever makes it.
 */
export class AfterVerdicts {
  readonly #deps: CleanupDeps;
  readonly #fence: Fence;
  readonly #options: AfterVerdictsOptions;
  readonly #cleanups: Cleanups;
  #wake = Promise.withResolvers<void>();
  #sweepEnded = false;

  constructor(deps: CleanupDeps, fence: Fence, options: AfterVerdictsOptions) {
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
    this.nudge();
  }

  get summary(): Cleanups["summary"] {
    return this.#cleanups.summary;
  }

  /** @throws what the journal or the fence throws, or `signal.reason`. What was in flight has ended by then. */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = () => this.nudge();
    signal.addEventListener("abort", onAbort, { once: true });
    const loops = await Promise.allSettled([
      this.#repeat(() => this.#cleanUp(signal), signal),
      this.#repeat(() => this.#recordFirstRuns(signal), signal),
    ]);
    signal.removeEventListener("abort", onAbort);
    for (const loop of loops) if (loop.status === "rejected") throw loop.reason;
  }

  /** Runs `pass` until the sweep has ended and a pass begun after that has found everything done. */
  async #repeat(pass: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      const last = this.#sweepEnded;
      const { promise } = this.#wake;
      await pass();
      if (last) return;
      await promise;
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

  /** Records the first outcomes that are due, once over all automations. What changed meanwhile stays open. */
  async #recordFirstRuns(signal: AbortSignal): Promise<void> {
    const { journal, log } = this.#deps;
    let after: string | null = null;
    while (true) {
      signal.throwIfAborted();
      const { presumedForMs } = this.#options;
      const tasks = await journal.openFirstRuns(after, FIRST_RUN_PAGE, presumedForMs);
      for (const task of tasks) {
        signal.throwIfAborted();
        const { automationId } = task;
        await isolated(
          () => this.#recordFirstRun(task),
          (err) => log.error({ err, automationId }, "recording a first run failed"),
          signal,
        );
        after = automationId;
      }
      if (tasks.length < FIRST_RUN_PAGE) return;
    }
  }

  async #recordFirstRun(task: FirstRunTask): Promise<void> {
    const { journal } = this.#deps;
    const { metadata, outcome, readAt, automationId } = task;
    const marked = metadata === null ? null : withFirstRun(metadata, outcome, readAt);
    // Changed or overturned meanwhile, or locked by a writer: the next pass reads it again.
    const recorded = marked === null || (await journal.recordFirstRun(task, marked, this.#fence));
    if (recorded) await journal.firstRunDone(automationId, this.#fence);
  }
}
