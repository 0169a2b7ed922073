import { summarise } from "../rules/evidence-summary.ts";
import type {
  Action,
  Basis,
  Evidence,
  RunSnapshot,
  Trigger,
  Verdict,
  VerdictPolicy,
} from "../rules/model.ts";
import type { RunOutcome } from "../rules/report.ts";
import { judge } from "../rules/verdict.ts";
import { forEachConcurrently } from "./each.ts";
import { LeaseLostError } from "./lease-term.ts";
import {
  type Backend,
  type Clock,
  type Fence,
  type Horizon,
  type Log,
  type RunStore,
  type StaleQuery,
  StoreSchemaError,
  StoreUnavailableError,
} from "./ports.ts";
import { FencedError, type Settled, settle } from "./settle.ts";
import { staleRuns } from "./stale-runs.ts";

export interface SweepDeps {
  readonly store: RunStore;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once per run, when it has ended. */
  readonly onOutcome: (outcome: RunOutcome) => void;
  /** Called after each statement or question that came to an end: the sweep is alive. */
  readonly onProgress: () => void;
}

export interface SweepOptions {
  readonly concurrency: number;
  readonly pageSize: number;
  readonly deferMs: number;
  readonly nullDeadlineAfterMs: number;
  readonly cleanupDelayMs: number;
  readonly policy: VerdictPolicy;
  /** Only these runs; `null` for all. */
  readonly runIds: readonly string[] | null;
  /** At most this many runs; `null` for all. */
  readonly limit: number | null;
}

/** The right to sweep, and the moment everything is compared with. */
export interface SweepTerm {
  readonly fence: Fence;
  readonly holder: string;
  readonly trigger: Trigger;
  readonly horizon: Horizon;
}

/**
 * One pass over the stale runs: read ids in pages, then for each run re-read it, ask the backend, judge, write. No
 * transaction is open and no connection is held while the backend is asked; each write commits by itself. A run that
 * cannot be handled is counted as `error` and does not stop the others.
 *
 * @throws LeaseLostError, FencedError, StoreUnavailableError, StoreSchemaError or `signal.reason`: the sweep cannot go
 *   on. What was in flight has ended by then.
 */
export async function sweep(
  deps: SweepDeps,
  options: SweepOptions,
  term: SweepTerm,
  signal: AbortSignal,
): Promise<void> {
  const query = { horizon: term.horizon, nullDeadlineAfterMs: options.nullDeadlineAfterMs };
  const one = new RunSweep(deps, options, term, query, signal);
  await forEachConcurrently(
    atMost(runsToSweep(deps.store, options, query), options.limit),
    options.concurrency,
    async (runId) => {
      deps.onOutcome(await one.handle(runId));
    },
    signal,
  );
}

async function* runsToSweep(store: RunStore, options: SweepOptions, query: StaleQuery) {
  if (options.runIds === null) yield* staleRuns(store, query, options.pageSize);
  else yield* new Set(options.runIds);
}

async function* atMost<T>(items: AsyncIterable<T>, limit: number | null) {
  if (limit === 0) return;
  let taken = 0;
  for await (const item of items) {
    yield item;
    taken += 1;
    if (taken === limit) return;
  }
}

/** What happens to one run, from its id to its outcome. */
class RunSweep {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #query: StaleQuery;
  readonly #signal: AbortSignal;

  constructor(
    deps: SweepDeps,
    options: SweepOptions,
    term: SweepTerm,
    query: StaleQuery,
    signal: AbortSignal,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
    this.#query = query;
    this.#signal = signal;
  }

  async handle(runId: string): Promise<RunOutcome> {
    try {
      return await this.#follow(runId);
    } catch (error) {
      if (this.#signal.aborted || endsTheSweep(error)) throw error;
      this.#deps.log.error({ err: error, runId }, "a run could not be handled");
      const reason = error instanceof Error ? error.message : "unexpected error";
      return { runId, action: "error", basis: null, reason, verifyMs: null };
    }
  }

  async #follow(runId: string): Promise<RunOutcome> {
    const { store, backend, clock, onProgress } = this.#deps;
    const run = await store.read(runId, this.#query);
    onProgress();
    if (run === null || !run.stale) return this.#notStale(runId, run);

    const askedAtMs = clock.monotonicMs();
    const evidence = await backend.verify(run, this.#signal);
    const verifyMs = Math.round(clock.monotonicMs() - askedAtMs);
    onProgress();

    const verdict = judge(run, evidence, this.#options.policy, this.#query.horizon.ms);
    const settled = await this.#act(run, verdict, evidence);
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

  #act(run: RunSnapshot, verdict: Verdict, evidence: Evidence): Promise<Settled> {
    const { store } = this.#deps;
    const { fence, holder, trigger } = this.#term;
    const { deferMs } = this.#options;
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

function endsTheSweep(error: unknown): boolean {
  return (
    error instanceof LeaseLostError ||
    error instanceof FencedError ||
    error instanceof StoreUnavailableError ||
    error instanceof StoreSchemaError
  );
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
