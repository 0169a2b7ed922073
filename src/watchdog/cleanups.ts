import {
  absentNote,
  cleanupRetryMs,
  DELETE_WITHIN_MS,
  isGivenUpAsAbsent,
} from "../rules/cleanup-retry.ts";
import { alone } from "./alone.ts";
import { forEachConcurrently } from "./each.ts";
import { LinkedController } from "./linked-signal.ts";
import type { Backend, CleanupResult, Clock, Fence, Log, Random } from "./ports.ts";
import type { CleanupTask, Journal } from "./store-ports.ts";
import { untilAborted } from "./until-aborted.ts";

export interface CleanupDeps {
  readonly journal: Journal;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onProgress: () => void;
}

interface Claim {
  readonly task: CleanupTask;
  /** Monotonic milliseconds; nothing of the deletion is on its way any more then. */
  readonly untilMs: number;
}

/** The deletions of one sweep: claims what is due, asks the backend, and notes what came of it. */
export class Cleanups {
  readonly #deps: CleanupDeps;
  readonly #fence: Fence;
  #done = 0;
  #abandoned = 0;
  /** In this sweep the API wants no more deletions; what is not claimed loses no attempt by that. */
  #refused = false;

  constructor(deps: CleanupDeps, fence: Fence) {
    this.#deps = deps;
    this.#fence = fence;
  }

  /** Taken for gone or confirmed, in this sweep. */
  get done(): number {
    return this.#done;
  }

  get abandoned(): number {
    return this.#abandoned;
  }

  /**
   * Deletes until nothing is due any more, `mayGoOn` says no, or the API is not to be asked now.
   *
   * @throws what the journal or the fence throws, or `signal.reason`. Deletions in flight are aborted and awaited then.
   */
  async pass(slots: number, mayGoOn: () => boolean, signal: AbortSignal): Promise<void> {
    await forEachConcurrently(
      this.#claimed(slots, mayGoOn),
      slots,
      (claim, taskSignal) => {
        const { runId, sandboxId } = claim.task;
        return alone(
          () => this.#delete(claim, taskSignal),
          (err) => this.#deps.log.error({ err, runId, sandboxId }, "a chore could not be done"),
          taskSignal,
        );
      },
      signal,
    );
  }

  async *#claimed(slots: number, mayGoOn: () => boolean): AsyncGenerator<Claim, void, void> {
    const { journal, backend, clock } = this.#deps;
    while (mayGoOn() && !this.#refused && (backend.api?.refusal ?? null) === null) {
      const untilMs = clock.monotonicMs() + DELETE_WITHIN_MS;
      const tasks = await journal.claimCleanups(this.#fence, slots);
      if (tasks.length === 0) return;
      for (const task of tasks) yield { task, untilMs };
    }
  }

  async #delete({ task, untilMs }: Claim, signal: AbortSignal): Promise<void> {
    // The task may have waited for a slot since it was claimed.
    this.#fence.check();
    const result = await this.#ask(task, untilMs, signal);
    this.#deps.onProgress();
    switch (result.kind) {
      case "deleted":
        return await this.#settle(task, null);
      case "absent":
        if (!isGivenUpAsAbsent(task.attempts)) return await this.#retry(task, result.failure, null);
        return await this.#settle(task, absentNote(result.failure));
      case "failed":
        return await this.#retry(task, result.failure, result.retryAfterMs);
      case "not-asked":
        this.#refused ||= result.everybody ?? true;
        return await this.#retry(task, result.reason, result.retryAfterMs);
    }
  }

  /** A backend that breaks its promises and rejects, or does not heed its signal, counts as one that failed. */
  async #ask(task: CleanupTask, untilMs: number, signal: AbortSignal): Promise<CleanupResult> {
    const { backend, clock, log } = this.#deps;
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) return failed(TOO_LATE);
    using scope = new LinkedController(signal);
    clock.sleep(leftMs, scope.signal).then(
      () => scope.abort(new Error(TOO_LATE)),
      () => {},
    );
    try {
      return await untilAborted(backend.cleanup(task, scope.signal), scope.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (scope.signal.aborted) return failed(TOO_LATE);
      log.error({ err: error, sandboxId: task.sandboxId }, "the backend rejected");
      return failed("unexpected error");
    } finally {
      scope.abort(new Error("the deletion has ended"));
    }
  }

  async #settle({ id, runId, sandboxId }: CleanupTask, note: string | null): Promise<void> {
    const { journal, log } = this.#deps;
    await journal.cleanupDone(id, note, this.#fence);
    this.#done += 1;
    if (note !== null) log.info({ runId, sandboxId, note }, "a sandbox is taken for gone");
  }

  async #retry(task: CleanupTask, failure: string, retryAfterMs: number | null): Promise<void> {
    const { journal, random, log } = this.#deps;
    const { id, runId, sandboxId, attempts } = task;
    const retryInMs = cleanupRetryMs(attempts, retryAfterMs, random.fraction());
    const state = await journal.cleanupFailed(id, failure, retryInMs, this.#fence);
    if (state === "abandoned") this.#abandoned += 1;
    const fields = { runId, sandboxId, attempts, state, retryInMs, reason: failure };
    log[state === "abandoned" ? "error" : "warn"](fields, "deleting a sandbox failed");
  }
}

const TOO_LATE = "no answer before the claim ran out";

function failed(failure: string): CleanupResult {
  return { kind: "failed", failure, retryAfterMs: null };
}
