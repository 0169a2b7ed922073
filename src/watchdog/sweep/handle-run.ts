import type { Evidence, RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import {
  askAgainInMs,
  CLEARED,
  inTheDark,
  type SuspicionChange,
  sighting,
} from "../../rules/suspicion.ts";
import { judge } from "../../rules/verdict.ts";
import type { StaleQuery } from "../store-ports.ts";
import type { GuardRounds } from "./guard-rounds.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./model.ts";
import { containTrouble, outcomeOf } from "./run-outcome.ts";
import type { Unasked } from "./skipped-runs.ts";
import type { RunWriter } from "./write-run.ts";

type Presumption = Extract<Verdict, { kind: "fail" }>;

/** What happens to one run, from its id to its outcome, or to the place where it waits for one. */
export class RunSweep {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #query: StaleQuery;
  readonly #writer: RunWriter;
  readonly #guard: GuardRounds;
  readonly #unasked: Unasked;

  constructor(
    deps: SweepDeps,
    options: SweepOptions,
    term: SweepTerm,
    query: StaleQuery,
    parts: { readonly writer: RunWriter; readonly guard: GuardRounds; readonly unasked: Unasked },
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
    this.#query = query;
    this.#writer = parts.writer;
    this.#guard = parts.guard;
    this.#unasked = parts.unasked;
  }

  /**
   * @param signal aborts when the sweep cannot go on; nothing is written any more then.
   * @returns `null` when the guard or the collector of unasked runs will tell the outcome.
   * @throws what ends the sweep. Anything else is this run's own trouble, and its outcome.
   */
  async handle(runId: string, signal: AbortSignal): Promise<RunOutcome | null> {
    const refusal = this.#deps.backend.api?.blockedReason ?? null;
    if (refusal !== null) return this.#leaveUnasked(runId, refusal);
    let errorTimes = 0;
    const work = async () => {
      const run = await this.#deps.store.read(runId, this.#query);
      this.#deps.onProgress();
      if (run === null || !run.stale) return this.#notStale(runId, run);
      errorTimes = run.suspicion?.errorTimes ?? 0;
      return await this.#follow(run, signal);
    };
    const attempt = { runId, errorTimes: () => errorTimes, work };
    return await containTrouble(this.#deps, this.#term, this.#options.deferMs, attempt, signal);
  }

  /** A named run that needs nothing is `skipped`; a listed one has changed since the page was read. */
  #notStale(runId: string, run: RunSnapshot | null): RunOutcome {
    this.#guard.leftAlone(runId);
    const named = this.#options.runIds !== null;
    const state = run === null ? "no such run" : `${run.status}, not past its deadline`;
    const action = named ? "skipped" : "lost-race";
    return { runId, action, basis: null, reason: named ? state : null, verifyMs: null };
  }

  async #follow(run: RunSnapshot, signal: AbortSignal): Promise<RunOutcome | null> {
    const { backend, clock, onProgress } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    const evidence = await backend.verify(run, signal);
    const verifyMs = Math.round(clock.monotonicMs() - askedAtMs);
    onProgress();

    const verdict = judge(run, evidence, this.#options.policy, this.#query.horizon.ms);
    this.#guard.heard(run, evidence, verdict);
    return await this.#act(run, verdict, evidence, verifyMs, signal);
  }

  async #act(
    run: RunSnapshot,
    verdict: Verdict,
    evidence: Evidence,
    verifyMs: number,
    signal: AbortSignal,
  ): Promise<RunOutcome | null> {
    const { deferMs } = this.#options;
    const { reason } = verdict;
    switch (verdict.kind) {
      case "complete":
      case "fail": {
        const { basis } = verdict;
        if (verdict.kind === "fail" && basis === "presumption") {
          return await this.#presume(run, verdict, evidence, verifyMs, signal);
        }
        const action = verdict.kind === "complete" ? "completed" : "failed";
        const settled = await this.#writer.end(run, verdict, evidence, signal);
        return outcomeOf(run.id, { action, basis, reason, verifyMs }, settled);
      }
      case "defer": {
        const write = { run, deferMs, statusDetail: "null", suspicion: CLEARED };
        const settled = await this.#writer.leave(write, signal);
        return outcomeOf(run.id, { action: "deferred", basis: null, reason, verifyMs }, settled);
      }
      case "undetermined": {
        const { statusDetail } = verdict;
        const suspicion = inTheDark(run.suspicion);
        const againInMs = askAgainInMs(suspicion.unknownTimes, deferMs);
        const write = { run, deferMs: againInMs, statusDetail, suspicion };
        const settled = await this.#writer.leave(write, signal);
        const intent = { action: "undetermined", basis: null, reason, verifyMs } as const;
        return outcomeOf(run.id, intent, settled);
      }
      case "skip":
        return this.#leaveUnasked(run.id, reason);
    }
  }

  /** Seen often enough, a presumption waits for the guard; before that it is a suspicion. */
  async #presume(
    run: RunSnapshot,
    verdict: Presumption,
    evidence: Evidence,
    verifyMs: number,
    signal: AbortSignal,
  ): Promise<RunOutcome | null> {
    const { reason, basis } = verdict;
    const { deferMs } = this.#options;
    const suspicion = this.#suspicionOf(run, verdict);
    if (this.#isConfirmed(verdict, suspicion)) {
      this.#guard.setAside({ run, verdict, evidence, verifyMs, suspicion });
      return null;
    }
    const write = { run, deferMs, statusDetail: null, suspicion };
    const settled = await this.#writer.leave(write, signal);
    return outcomeOf(run.id, { action: "suspected", basis, reason, verifyMs }, settled);
  }

  #suspicionOf(run: RunSnapshot, verdict: Presumption): SuspicionChange {
    return verdict.needsConfirmation
      ? sighting(run.suspicion, verdict.reason, this.#options.deferMs)
      : inTheDark(run.suspicion);
  }

  #isConfirmed(verdict: Presumption, suspicion: SuspicionChange): boolean {
    return (
      !verdict.needsConfirmation || suspicion.presumedTimes >= this.#options.guard.confirmations
    );
  }

  #leaveUnasked(runId: string, reason: string): null {
    this.#unasked.add(runId, reason);
    return null;
  }
}
