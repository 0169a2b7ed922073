import type { RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs, CLEARED, inconclusive, observation } from "../../rules/suspicion.ts";
import { judge } from "../../rules/verdict.ts";
import type { GuardRounds } from "./guard-rounds.ts";
import type { Judged, SweepContext } from "./model.ts";
import type { SkippedRuns } from "./skipped-runs.ts";
import type { RunWriter } from "./write-run.ts";

/** What happens to one run, from its id to its outcome, or to the place where it waits for one. */
export class RunSweep {
  readonly #context: SweepContext;
  readonly #writer: RunWriter;
  readonly #guard: GuardRounds;
  readonly #skipped: SkippedRuns;

  constructor(context: SweepContext, writer: RunWriter, guard: GuardRounds, skipped: SkippedRuns) {
    this.#context = context;
    this.#writer = writer;
    this.#guard = guard;
    this.#skipped = skipped;
  }

  /**
   * @param signal aborts when the sweep cannot go on; nothing is written any more then.
   * @returns `null` when the guard or the collector of skipped runs will tell the outcome.
   * @throws what ends the sweep. Anything else is this run's own trouble, and its outcome.
   */
  async handle(runId: string, signal: AbortSignal): Promise<RunOutcome | null> {
    const { store, backend, query } = this.#context;
    const blockedReason = backend.api?.blockedReason ?? null;
    if (blockedReason !== null) return this.#skip(runId, blockedReason);
    let run: RunSnapshot | null = null;
    let outcome: RunOutcome | null;
    try {
      run = await store.read(runId, query);
      if (run?.stale) outcome = await this.#act(await this.#ask(run, signal), signal);
      else outcome = this.#notStale(runId, run);
    } catch (error) {
      outcome = this.#writer.threw(runId, error, signal);
    }
    if (outcome?.action === "error") await this.#writer.remember(outcome, run, signal);
    return outcome;
  }

  /** A named run that needs nothing is `skipped`; a listed one has changed since the page was read. */
  #notStale(runId: string, run: RunSnapshot | null): RunOutcome {
    this.#guard.leftAlone(runId);
    const named = this.#context.request.runIds !== null;
    const state = run === null ? "no such run" : `${run.status}, not past its deadline`;
    const action = named ? "skipped" : "lost-race";
    return { runId, action, basis: null, reason: named ? state : null, verifyMs: null };
  }

  async #ask(run: RunSnapshot, signal: AbortSignal): Promise<Judged> {
    const { backend, clock, options, query } = this.#context;
    const askedAtMs = clock.monotonicMs();
    const evidence = await backend.verify(run, signal);
    const verifyMs = Math.round(clock.monotonicMs() - askedAtMs);
    const verdict = judge(run, evidence, options.policy, query.horizon.ms);
    return { run, evidence, verdict, verifyMs };
  }

  async #act(judged: Judged, signal: AbortSignal): Promise<RunOutcome | null> {
    this.#guard.heard(judged);
    const { run, verdict, verifyMs } = judged;
    const { deferMs } = this.#context.options;
    const { reason } = verdict;
    switch (verdict.kind) {
      case "complete":
        return await this.#writer.end({ ...judged, verdict }, signal);
      case "fail":
        return verdict.basis === "presumption"
          ? await this.#presume({ ...judged, verdict }, signal)
          : await this.#writer.end({ ...judged, verdict }, signal);
      case "defer": {
        const outcome = { action: "deferred", basis: null, reason, verifyMs } as const;
        const leaving = { run, deferMs, statusDetail: "null", suspicion: CLEARED, outcome };
        return await this.#writer.leave(leaving, signal);
      }
      case "undetermined": {
        const { statusDetail } = verdict;
        const suspicion = inconclusive(run.suspicion);
        const againInMs = askAgainInMs(suspicion.unknownTimes, deferMs);
        const outcome = { action: "undetermined", basis: null, reason, verifyMs } as const;
        const leaving = { run, deferMs: againInMs, statusDetail, suspicion, outcome };
        return await this.#writer.leave(leaving, signal);
      }
      case "skip":
        return this.#skip(run.id, reason);
    }
  }

  /** Seen often enough, a presumption waits for the guard; before that it is a suspicion. */
  async #presume(
    judged: Judged<Extract<Verdict, { kind: "fail" }>>,
    signal: AbortSignal,
  ): Promise<RunOutcome | null> {
    const { run, verdict, verifyMs } = judged;
    const { basis, reason, needsConfirmation } = verdict;
    const { deferMs, guard } = this.#context.options;
    const suspicion = needsConfirmation
      ? observation(run.suspicion, reason, deferMs)
      : inconclusive(run.suspicion);
    if (!needsConfirmation || suspicion.presumedTimes >= guard.confirmations) {
      this.#guard.setAside({ ...judged, suspicion });
      return null;
    }
    const outcome = { action: "suspected", basis, reason, verifyMs } as const;
    return await this.#writer.leave(
      { run, deferMs, statusDetail: null, suspicion, outcome },
      signal,
    );
  }

  #skip(runId: string, reason: string): null {
    this.#skipped.add(runId, reason);
    return null;
  }
}
