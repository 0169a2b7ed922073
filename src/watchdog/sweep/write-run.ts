import { planCleanup } from "../../rules/cleanup/cleanup-plan.ts";
import { summarise } from "../../rules/evidence.ts";
import type { Basis, RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs, type SuspicionChange, shieldAfterLookMs } from "../../rules/suspicion.ts";
import { hardDeadline } from "../../rules/verdict.ts";
import { endsTheSweep, saidBy } from "../errors.ts";
import type { Fence } from "../ports.ts";
import type { DeferWrite, TerminalWrite, WriteResult } from "../store-ports.ts";
import type { Judged, SweepContext } from "./model.ts";
import { LateWrites, resolveWrite } from "./resolve-write.ts";
import { type LoggedVerdict, logVerdict, timesSeen } from "./verdict-log.ts";

export type TerminalVerdict = Extract<Verdict, { kind: "complete" | "fail" }>;

/** What is written about a run that stays RUNNING, and the outcome that it has then. */
export interface Leaving extends Omit<DeferWrite, "shieldMs" | "notAfterMs"> {
  readonly outcome: Omit<RunOutcome, "runId">;
}

type Cleanup = Pick<TerminalWrite, "cleanupInMs" | "deletionInMs">;
const NO_CLEANUP: Cleanup = { cleanupInMs: null, deletionInMs: null };

/** What a sweep writes about a run: it ends, it stays RUNNING and is looked at again, or it could not be handled. */
export class RunWriter {
  readonly #context: SweepContext;
  readonly #cleanups: Readonly<Record<Basis, Cleanup>>;
  readonly #late = new LateWrites();

  constructor(context: SweepContext) {
    const { backend, options } = context;
    const cleanupAfter = (basis: Basis) =>
      backend.cleans ? planCleanup(basis, options, backend.pause !== undefined) : NO_CLEANUP;
    this.#context = context;
    this.#cleanups = { proof: cleanupAfter("proof"), presumption: cleanupAfter("presumption") };
  }

  /**
   * @param check throws when the verdict may not be written any more; asked where the fence is, before each attempt.
   * @param suspicion what a presumption was seen as.
   */
  async end(
    { run, verdict, evidence, verifyMs }: Judged<TerminalVerdict>,
    signal: AbortSignal,
    check: () => void = () => {},
    suspicion: SuspicionChange | null = null,
  ): Promise<RunOutcome> {
    const { store, holder, request } = this.#context;
    const { basis, reason } = verdict;
    const write = {
      run,
      verdict,
      evidence: summarise(evidence),
      holder,
      trigger: request.trigger,
      ...this.#cleanups[basis],
      overrideReason: basis === "presumption" ? request.overrideReason : null,
    };
    const action = verdict.kind === "complete" ? "completed" : "failed";
    const outcome = { runId: run.id, action, basis, reason, verifyMs } as const;
    const told = await this.#write(
      run,
      true,
      (fence) => store.apply(write, fence),
      outcome,
      signal,
      check,
    );
    if (told === outcome) {
      const ended = verdict.kind === "complete" ? "COMPLETED" : "FAILED";
      const seen = basis === "proof" ? 1 : timesSeen(run, suspicion);
      const cleanup = this.#cleanups[basis];
      this.#log({ run, outcome: ended, basis, reason, seen, cleanup });
    }
    return told;
  }

  async leave({ outcome, ...leaving }: Leaving, signal: AbortSignal): Promise<RunOutcome> {
    const { store } = this.#context;
    const { run } = leaving;
    const write = { ...leaving, ...this.#nextLook(run) };
    const written = { runId: run.id, ...outcome };
    const told = await this.#write(
      run,
      false,
      (fence) => store.defer(write, fence),
      written,
      signal,
    );
    const { action, basis, reason } = told;
    if (told === written && (action === "suspected" || action === "held")) {
      const seen = timesSeen(run, leaving.suspicion);
      this.#log({ run, outcome: action, basis, reason, seen, cleanup: null });
    }
    return told;
  }

  #log(verdict: LoggedVerdict): void {
    const { log, query } = this.#context;
    logVerdict(log, verdict, query.horizon.ms);
  }

  /**
   * The outcome of a run whose handling threw.
   *
   * @throws the error itself when it ends the sweep, and any once `signal` has aborted.
   */
  threw(runId: string, error: unknown, signal: AbortSignal): RunOutcome {
    if (signal.aborted || endsTheSweep(error)) throw error;
    this.#context.log.error({ err: error, runId }, "a run could not be handled");
    return { runId, action: "error", basis: null, reason: saidBy(error), verifyMs: null };
  }

  /**
   * Notes why a run could not be handled: it is tried again at growing intervals, and does not delay the others.
   *
   * @param run as it was read; `null` when it could not be.
   * @throws what ends the sweep, or `signal.reason`.
   */
  async noteError(
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
    const { shard, epoch } = fence;
    const resolved = await resolveWrite(store, run, fence, journaled, () =>
      this.#late.attempt((checkLate) => {
        function checkAll(): void {
          // No run's write may start after another one of the same sweep was fenced or found the database gone.
          signal.throwIfAborted();
          fence.check();
          check();
          checkLate();
        }
        return send({ shard, epoch, check: checkAll });
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
        // The daemon's report holds counts only: only this line says which run it was, and why.
        log.error({ runId, reason }, "a run could not be handled");
        return { runId, action: "error", basis: null, reason, verifyMs };
      }
    }
  }

  /** The next look never comes later than a hard deadline that is still ahead: the host expects an end by then. */
  #nextLook(run: RunSnapshot): Pick<DeferWrite, "shieldMs" | "notAfterMs"> {
    const { options, request, query } = this.#context;
    const hardDeadlineMs = hardDeadline(run, options.policy);
    const isAhead = hardDeadlineMs > query.horizon.ms;
    const shieldMs = shieldAfterLookMs(request.intervalMs);
    return { shieldMs, notAfterMs: isAhead ? hardDeadlineMs : null };
  }
}
