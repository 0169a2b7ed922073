import { planCleanup } from "../../rules/cleanup/cleanup-plan.ts";
import { summarise } from "../../rules/evidence.ts";
import type { Basis, RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs, shieldAfterLookMs } from "../../rules/suspicion.ts";
import { hardDeadline } from "../../rules/verdict.ts";
import { endsTheSweep } from "../errors.ts";
import type { Fence } from "../ports.ts";
import type { DeferWrite, TerminalWrite, WriteResult } from "../store-ports.ts";
import type { Judged, SweepContext } from "./model.ts";
import { LateWrites, resolveWrite } from "./resolve-write.ts";

export type TerminalVerdict = Extract<Verdict, { kind: "complete" | "fail" }>;

/** What is said of a run that stays RUNNING, and the outcome it has when that is written. */
export interface Leaving extends Omit<DeferWrite, "shieldMs" | "notAfterMs"> {
  readonly outcome: Omit<RunOutcome, "runId">;
}

/** What a sweep writes about a run: it ends, it stays RUNNING and is looked at again, or it could not be handled. */
export class RunWriter {
  readonly #context: SweepContext;
  readonly #late = new LateWrites();

  constructor(context: SweepContext) {
    this.#context = context;
  }

  /** @param check throws when the verdict may not be written any more; asked where the fence is, before each attempt. */
  async end(
    { run, verdict, evidence, verifyMs }: Judged<TerminalVerdict>,
    signal: AbortSignal,
    check: () => void = () => {},
  ): Promise<RunOutcome> {
    const { store, holder, request } = this.#context;
    const { basis, reason } = verdict;
    const write = {
      run,
      verdict,
      evidence: summarise(evidence),
      holder,
      trigger: request.trigger,
      ...this.#cleanup(basis),
      overrideReason: basis === "presumption" ? request.overrideReason : null,
    };
    const action = verdict.kind === "complete" ? "completed" : "failed";
    const outcome = { runId: run.id, action, basis, reason, verifyMs } as const;
    return await this.#write(
      run,
      true,
      (fence) => store.apply(write, fence),
      outcome,
      signal,
      check,
    );
  }

  async leave({ outcome, ...leaving }: Leaving, signal: AbortSignal): Promise<RunOutcome> {
    const { store } = this.#context;
    const { run } = leaving;
    const write = { ...leaving, ...this.#lookAt(run) };
    const written = { runId: run.id, ...outcome };
    return await this.#write(run, false, (fence) => store.defer(write, fence), written, signal);
  }

  /**
   * The outcome of a run whose handling threw.
   *
   * @throws the error itself when it ends the sweep, and any once `signal` has aborted.
   */
  threw(runId: string, error: unknown, signal: AbortSignal): RunOutcome {
    if (signal.aborted || endsTheSweep(error)) throw error;
    this.#context.log.error({ err: error, runId }, "a run could not be handled");
    // The message may hold anything, so it stays in the log.
    const reason = "unexpected error, the log says why";
    return { runId, action: "error", basis: null, reason, verifyMs: null };
  }

  /**
   * Remembers why a run could not be handled: it is tried again at growing intervals, and costs the others nothing.
   *
   * @param run as it was read; `null` when it could not be.
   * @throws what ends the sweep, or `signal.reason`.
   */
  async remember(
    { runId, reason }: RunOutcome,
    run: RunSnapshot | null,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, log, fence, options } = this.#context;
    const errorTimes = run?.suspicion?.errorTimes ?? 0;
    const retryInMs = askAgainInMs(errorTimes + 1, options.deferMs);
    try {
      await store.noteError({ runId, cause: reason ?? "unknown", retryInMs }, fence);
    } catch (error) {
      if (signal.aborted || endsTheSweep(error)) throw error;
      log.error({ err: error, runId }, "the cause of a run's error could not be stored");
    }
  }

  /** The outcome is the given one if the write is made. */
  async #write(
    run: RunSnapshot,
    journaled: boolean,
    send: (fence: Fence) => Promise<WriteResult>,
    outcome: RunOutcome,
    signal: AbortSignal,
    check: () => void = () => {},
  ): Promise<RunOutcome> {
    const { store, fence, log } = this.#context;
    const { epoch } = fence;
    const resolved = await resolveWrite(store, run, fence, journaled, () =>
      this.#late.attempt((checkLate) => {
        function checkAll(): void {
          // No run's write may start after another one of the same sweep was fenced or found the database gone.
          signal.throwIfAborted();
          fence.check();
          check();
          checkLate();
        }
        return send({ epoch, check: checkAll });
      }),
    );
    const { runId, verifyMs } = outcome;
    switch (resolved.kind) {
      case "written":
        return outcome;
      case "lost-race":
      case "busy":
        return { runId, action: resolved.kind, basis: null, reason: null, verifyMs };
      case "error": {
        const reason = resolved.cause;
        // The daemon's report holds counts only: without this line nobody would learn which run it was, and why.
        log.error({ runId, reason }, "a run could not be handled");
        return { runId, action: "error", basis: null, reason, verifyMs };
      }
    }
  }

  /** No look is put off beyond a hard deadline that is still to come: there the host counts on an end. */
  #lookAt(run: RunSnapshot): Pick<DeferWrite, "shieldMs" | "notAfterMs"> {
    const { options, request, query } = this.#context;
    const hardDeadlineMs = hardDeadline(run, options.policy);
    const isAhead = hardDeadlineMs > query.horizon.ms;
    const shieldMs = shieldAfterLookMs(request.intervalMs);
    return { shieldMs, notAfterMs: isAhead ? hardDeadlineMs : null };
  }

  #cleanup(basis: Basis): Pick<TerminalWrite, "cleanupInMs" | "deletionInMs"> {
    const { backend, options } = this.#context;
    if (!backend.cleans) return { cleanupInMs: null, deletionInMs: null };
    return planCleanup(basis, options, backend.pause !== undefined);
  }
}
