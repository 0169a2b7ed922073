import { cleanupRetryMs } from "../rules/cleanup-retry.ts";
import { withFirstRun } from "../rules/first-run.ts";
import { forEachConcurrently } from "./each.ts";
import type {
  Backend,
  CleanupResult,
  CleanupTask,
  Fence,
  FirstRunTask,
  Journal,
  Log,
  Random,
} from "./ports.ts";
import { endsTheSweep } from "./sweep-end.ts";

export interface ChoresDeps {
  readonly journal: Journal;
  readonly backend: Backend;
  readonly random: Random;
  readonly log: Log;
  readonly onProgress: () => void;
}

/** How many sandboxes are deleted at once. */
export interface CleanupSlots {
  /** While runs are still being judged: verdicts come first, and both share the API. */
  readonly beside: number;
  readonly after: number;
}

export interface ChoresSummary {
  readonly done: number;
  readonly abandoned: number;
}

/**
 * What follows a committed verdict: the sandbox is deleted, the automation's first outcome recorded. Everything comes
 * from the journal, so whatever is left undone is taken up by the next sweep, whoever makes it.
 */
export class Chores {
  readonly #deps: ChoresDeps;
  readonly #fence: Fence;
  readonly #slots: CleanupSlots;
  #wake = Promise.withResolvers<void>();
  #sweepEnded = false;
  #done = 0;
  #abandoned = 0;

  constructor(deps: ChoresDeps, fence: Fence, slots: CleanupSlots) {
    this.#deps = deps;
    this.#fence = fence;
    this.#slots = slots;
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

  get summary(): ChoresSummary {
    return { done: this.#done, abandoned: this.#abandoned };
  }

  /** @throws what the journal or the fence throws, or `signal.reason`. What was in flight has ended by then. */
  async run(signal: AbortSignal): Promise<void> {
    const settled = await Promise.allSettled([
      this.#repeat(() => this.#cleanUp(signal), signal),
      this.#repeat(() => this.#recordFirstRuns(signal), signal),
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

  async #cleanUp(signal: AbortSignal): Promise<void> {
    const slots = this.#sweepEnded ? this.#slots.after : this.#slots.beside;
    await forEachConcurrently(
      this.#claimed(slots),
      slots,
      (task, taskSignal) => {
        const { runId, sandboxId } = task;
        return this.#alone({ runId, sandboxId }, () => this.#delete(task, taskSignal), taskSignal);
      },
      signal,
    );
  }

  /** Ends early with the sweep, so that the next pass goes on with more slots. */
  async *#claimed(slots: number): AsyncGenerator<CleanupTask, void, void> {
    const beside = !this.#sweepEnded;
    while (!(beside && this.#sweepEnded)) {
      const tasks = await this.#deps.journal.claimCleanups(this.#fence, slots);
      if (tasks.length === 0) return;
      yield* tasks;
    }
  }

  async #delete(task: CleanupTask, signal: AbortSignal): Promise<void> {
    const { journal, random, log, onProgress } = this.#deps;
    const result = await this.#ask(task, signal);
    onProgress();
    if (result.kind === "deleted") {
      await journal.cleanupDone(task.id, this.#fence);
      this.#done += 1;
      return;
    }
    const retryInMs = cleanupRetryMs(task.attempts, result.retryAfterMs, random.fraction());
    const state = await journal.cleanupFailed(task.id, result.failure, retryInMs, this.#fence);
    if (state === "abandoned") this.#abandoned += 1;
    const { runId, sandboxId, attempts } = task;
    const fields = { runId, sandboxId, attempts, state, retryInMs, reason: result.failure };
    log[state === "abandoned" ? "error" : "warn"](fields, "deleting a sandbox failed");
  }

  /** A backend that breaks its promise and rejects counts as one that failed: the attempts have to come to an end. */
  async #ask(task: CleanupTask, signal: AbortSignal): Promise<CleanupResult> {
    // A task may have waited for a slot since it was claimed.
    this.#fence.check();
    try {
      return await this.#deps.backend.cleanup(task, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.log.error({ err: error, sandboxId: task.sandboxId }, "the backend rejected");
      return { kind: "failed", failure: "unexpected error", retryAfterMs: null };
    }
  }

  async #recordFirstRuns(signal: AbortSignal): Promise<void> {
    let after: string | null = null;
    while (true) {
      signal.throwIfAborted();
      const tasks = await this.#deps.journal.openFirstRuns(after, FIRST_RUN_PAGE);
      for (const task of tasks) {
        signal.throwIfAborted();
        const { automationId } = task;
        await this.#alone({ automationId }, () => this.#recordFirstRun(task), signal);
        after = automationId;
      }
      if (tasks.length < FIRST_RUN_PAGE) return;
    }
  }

  async #recordFirstRun(task: FirstRunTask): Promise<void> {
    const { journal, onProgress } = this.#deps;
    const { metadata, outcome, readAt, automationId } = task;
    const marked = metadata === null ? null : withFirstRun(metadata, outcome, readAt);
    // Changed meanwhile or locked by a writer: the next pass reads it again.
    const settled = marked === null || (await journal.recordFirstRun(task, marked, this.#fence));
    if (settled) await journal.firstRunDone(automationId, this.#fence);
    onProgress();
  }

  /** One bad task does not stop the others; it stays in the journal. */
  async #alone(task: object, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (signal.aborted || endsTheSweep(error)) throw error;
      this.#deps.log.error({ err: error, ...task }, "a chore could not be done");
    }
  }
}

const FIRST_RUN_PAGE = 50;

async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  // The listener below would never be called.
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
