import {
  absentNote,
  cleanupRetryMs,
  DELETE_WITHIN_MS,
  isGivenUpAsAbsent,
} from "../../rules/cleanup/cleanup-retry.ts";
import type { CleanupSummary } from "../../rules/report.ts";
import { withDeadline } from "../concurrency/deadline.ts";
import { forEachConcurrently } from "../concurrency/for-each-concurrently.ts";
import { isolated } from "../errors.ts";
import type { CleanupTask, Journal } from "../journal-ports.ts";
import type {
  Backend,
  CleanupResult,
  Clock,
  Fence,
  Log,
  PauseResult,
  Random,
  Tracer,
} from "../ports.ts";
import { inCleanupSpan } from "../tracing.ts";

export interface CleanupDeps {
  readonly journal: Journal;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly tracer?: Tracer | null;
}

interface Claim {
  readonly task: CleanupTask;
  /** Monotonic milliseconds; nothing of it is on its way any more then. */
  readonly untilMs: number;
}

/** The deletions of one sweep, and the pauses before them: claims what is due, asks the backend, notes the result. */
export class Cleanups {
  readonly #deps: CleanupDeps;
  readonly #fence: Fence;
  readonly #summary = { done: 0, abandoned: 0 };
  /** The API wants no more deletions in this sweep; what is not claimed loses no attempt. */
  #blocked = false;

  constructor(deps: CleanupDeps, fence: Fence) {
    this.#deps = deps;
    this.#fence = fence;
  }

  get summary(): Omit<CleanupSummary, "pending"> {
    return { ...this.#summary };
  }

  /**
   * Deletes and pauses until nothing is due any more, `mayGoOn` says no, or the API is not to be asked now.
   *
   * @throws what the journal or the fence throws, or `signal.reason`. Deletions in flight are aborted and awaited then.
   */
  async pass(slots: number, mayGoOn: () => boolean, signal: AbortSignal): Promise<void> {
    await forEachConcurrently(
      this.#claimed(slots, mayGoOn),
      slots,
      (claim, taskSignal) => {
        const { runId, sandboxId } = claim.task;
        return isolated(
          () => this.#do(claim, taskSignal),
          (err) => this.#deps.log.error({ err, runId, sandboxId }, "cleaning up a sandbox failed"),
          taskSignal,
        );
      },
      signal,
    );
  }

  async *#claimed(slots: number, mayGoOn: () => boolean): AsyncGenerator<Claim, void, void> {
    const { journal, backend, clock } = this.#deps;
    while (mayGoOn() && !this.#blocked && (backend.api?.blockedReason ?? null) === null) {
      const sinceMs = clock.monotonicMs();
      const tasks = await journal.claimCleanups(this.#fence, slots);
      if (tasks.length === 0) return;
      for (const task of tasks) {
        const withinMs = Math.min(task.pauseWithinMs ?? DELETE_WITHIN_MS, DELETE_WITHIN_MS);
        yield { task, untilMs: sinceMs + withinMs };
      }
    }
  }

  async #do(claim: Claim, signal: AbortSignal): Promise<void> {
    // The task may have waited for a slot since it was claimed.
    this.#fence.check();
    await (claim.task.pauseWithinMs === null
      ? this.#delete(claim, signal)
      : this.#pause(claim, signal));
  }

  /** Best effort: whatever comes of it, the sandbox is deleted when that is due. */
  async #pause({ task, untilMs }: Claim, signal: AbortSignal): Promise<void> {
    const { backend, log } = this.#deps;
    const result = await this.#ask<PauseResult>(task, untilMs, signal, (scope) =>
      backend.pause === undefined ? Promise.resolve(CANNOT_PAUSE) : backend.pause(task, scope),
    );
    if (result.kind === "paused" || result.kind === "absent") return;
    const reason = result.kind === "failed" ? result.failure : result.reason;
    const { runId, sandboxId } = task;
    log.warn({ runId, sandboxId, reason }, "pausing a sandbox failed");
  }

  async #delete({ task, untilMs }: Claim, signal: AbortSignal): Promise<void> {
    const { backend } = this.#deps;
    const result = await this.#ask<CleanupResult>(task, untilMs, signal, (scope) =>
      backend.cleanup(task, scope),
    );
    switch (result.kind) {
      case "deleted":
        return await this.#finish(task, null);
      case "absent":
        if (!isGivenUpAsAbsent(task.attempts)) return await this.#retry(task, result.failure, null);
        return await this.#finish(task, absentNote(result.failure));
      case "failed":
        return await this.#retry(task, result.failure, result.retryAfterMs);
      case "not-asked":
        this.#blocked ||= result.everybody ?? true;
        return await this.#retry(task, result.reason, result.retryAfterMs);
    }
  }

  /** A backend that rejects, against its promise, or ignores its signal counts as one that failed. */
  async #ask<Result extends { readonly kind: string }>(
    task: CleanupTask,
    untilMs: number,
    signal: AbortSignal,
    send: (scope: AbortSignal) => Promise<Result>,
  ): Promise<Result | Failed> {
    const { clock, log, tracer } = this.#deps;
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) return failed(TOO_LATE);
    const name = task.pauseWithinMs === null ? "delete" : "pause";
    const ask = async () => {
      const answer = await withDeadline(clock, leftMs, send, signal);
      return answer.kind === "done" ? answer.value : failed(TOO_LATE);
    };
    try {
      return await (tracer ? inCleanupSpan(tracer, name, task.runId, ask) : ask());
    } catch (error) {
      signal.throwIfAborted();
      log.error({ err: error, sandboxId: task.sandboxId }, "the backend rejected");
      return failed("unexpected error");
    }
  }

  async #finish({ id, runId, sandboxId }: CleanupTask, note: string | null): Promise<void> {
    const { journal, log } = this.#deps;
    await journal.cleanupDone(id, note, this.#fence);
    this.#summary.done += 1;
    if (note !== null) log.info({ runId, sandboxId, note }, "a sandbox is considered deleted");
  }

  async #retry(task: CleanupTask, failure: string, retryAfterMs: number | null): Promise<void> {
    const { journal, random, log } = this.#deps;
    const { id, runId, sandboxId, attempts } = task;
    const retryInMs = cleanupRetryMs(attempts, retryAfterMs, random.fraction());
    const state = await journal.cleanupFailed(id, failure, retryInMs, this.#fence);
    if (state === "abandoned") this.#summary.abandoned += 1;
    const fields = { runId, sandboxId, attempts, state, retryInMs, reason: failure };
    log[state === "abandoned" ? "error" : "warn"](fields, "deleting a sandbox failed");
  }
}

type Failed = Extract<CleanupResult, { kind: "failed" }>;

const TOO_LATE = "no answer before the claim ran out";
const CANNOT_PAUSE = failed("the backend cannot pause");

function failed(failure: string): Failed {
  return { kind: "failed", failure, retryAfterMs: null };
}
