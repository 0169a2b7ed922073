import { summarise } from "../rules/evidence-summary.ts";
import type { Action, Basis, Evidence, RunSnapshot, Verdict } from "../rules/model.ts";
import type { RunOutcome } from "../rules/report.ts";
import { judge } from "../rules/verdict.ts";
import type { Fence, StaleQuery } from "./ports.ts";
import { type Settled, settle } from "./settle.ts";
import { endsTheSweep } from "./sweep-end.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./sweep-model.ts";

/** What happens to one run, from its id to its outcome. */
export class RunSweep {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #query: StaleQuery;

  constructor(deps: SweepDeps, options: SweepOptions, term: SweepTerm, query: StaleQuery) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
    this.#query = query;
  }

  /**
   * @param signal aborts when the sweep cannot go on; nothing is written any more then.
   * @throws what ends the sweep. Anything else is this run's own trouble, and its outcome.
   */
  async handle(runId: string, signal: AbortSignal): Promise<RunOutcome> {
    try {
      const outcome = await this.#follow(runId, signal);
      const { action, reason } = outcome;
      // The daemon's report holds counts only: without this line nobody would learn which run it was, and why.
      if (action === "error") this.#deps.log.error({ runId, reason }, "a run could not be handled");
      return outcome;
    } catch (error) {
      if (signal.aborted || endsTheSweep(error)) throw error;
      this.#deps.log.error({ err: error, runId }, "a run could not be handled");
      // The message may hold anything, so it stays in the log.
      const reason = "unexpected error, the log says why";
      return { runId, action: "error", basis: null, reason, verifyMs: null };
    }
  }

  async #follow(runId: string, signal: AbortSignal): Promise<RunOutcome> {
    const { store, backend, clock, onProgress } = this.#deps;
    const run = await store.read(runId, this.#query);
    onProgress();
    if (run === null || !run.stale) return this.#notStale(runId, run);

    const askedAtMs = clock.monotonicMs();
    const evidence = await backend.verify(run, signal);
    const verifyMs = Math.round(clock.monotonicMs() - askedAtMs);
    onProgress();

    const verdict = judge(run, evidence, this.#options.policy, this.#query.horizon.ms);
    const settled = await this.#act(run, verdict, evidence, signal);
    onProgress();
    return { runId, ...outcomeOf(verdict, settled), verifyMs };
  }

  /** A named run that needs nothing is `skipped`; a listed one has changed since the page was read. */
  #notStale(runId: string, run: RunSnapshot | null): RunOutcome {
    const named = this.#options.runIds !== null;
    const state = run === null ? "no such run" : `${run.status}, not past its deadline`;
    const action = named ? "skipped" : "lost-race";
    return { runId, action, basis: null, reason: named ? state : null, verifyMs: null };
  }

  #act(
    run: RunSnapshot,
    verdict: Verdict,
    evidence: Evidence,
    signal: AbortSignal,
  ): Promise<Settled> {
    const { store } = this.#deps;
    const { holder, trigger } = this.#term;
    const { deferMs } = this.#options;
    const fence = endingWith(this.#term.fence, signal);
    switch (verdict.kind) {
      case "complete":
      case "fail":
        return settle(store, run, fence, true, () =>
          store.apply(
            {
              run,
              verdict,
              evidence: summarise(evidence),
              holder,
              trigger,
              cleanupInMs: this.#cleanupInMs(verdict.basis),
            },
            fence,
          ),
        );
      case "defer": {
        const { notAfterMs } = verdict;
        return settle(store, run, fence, false, () =>
          store.defer({ run, deferMs, notAfterMs, statusDetail: null }, fence),
        );
      }
      case "undetermined": {
        const { statusDetail } = verdict;
        return settle(store, run, fence, false, () =>
          store.defer({ run, deferMs, notAfterMs: null, statusDetail }, fence),
        );
      }
    }
  }

  /** A presumption may still be overturned by a late callback, so its sandbox is spared for a while. */
  #cleanupInMs(basis: Basis): number | null {
    if (!this.#deps.backend.cleans) return null;
    return basis === "proof" ? 0 : this.#options.cleanupDelayMs;
  }
}

/** A write by one run must not start after another run of the same sweep was fenced or found the database gone. */
function endingWith(fence: Fence, signal: AbortSignal): Fence {
  return {
    epoch: fence.epoch,
    check() {
      signal.throwIfAborted();
      fence.check();
    },
  };
}

function outcomeOf(
  verdict: Verdict,
  settled: Settled,
): { readonly action: Action; readonly basis: Basis | null; readonly reason: string | null } {
  const basis = verdict.kind === "complete" || verdict.kind === "fail" ? verdict.basis : null;
  switch (settled.kind) {
    case "written":
      return { action: actionOf(verdict), basis, reason: verdict.reason };
    case "lost-race":
    case "busy":
      return { action: settled.kind, basis: null, reason: null };
    case "error":
      return { action: "error", basis: null, reason: settled.cause };
  }
}

function actionOf(verdict: Verdict): Action {
  switch (verdict.kind) {
    case "complete":
      return "completed";
    case "fail":
      return "failed";
    case "defer":
      return "deferred";
    case "undetermined":
      return "undetermined";
  }
}
