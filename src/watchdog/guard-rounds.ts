import { decide, type GuardScene, isAuthoritative, type Life, showsLife } from "../rules/guard.ts";
import type { Evidence, RunSnapshot, Verdict } from "../rules/model.ts";
import { askAgainInMs, type SuspicionChange } from "../rules/suspicion.ts";
import { hardDeadline } from "../rules/verdict.ts";
import { showLife } from "./canaries.ts";
import { forEachConcurrently } from "./each.ts";
import { containTrouble, outcomeOf } from "./run-outcome.ts";
import type { RunWriter } from "./run-writer.ts";
import type { GuardFacts, StaleQuery } from "./store-ports.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./sweep-model.ts";

/** A presumption that was seen often enough. */
export interface Candidate {
  readonly run: RunSnapshot;
  readonly verdict: Extract<Verdict, { kind: "fail" }>;
  readonly evidence: Evidence;
  readonly verifyMs: number;
  /** As it is to be remembered if the run stays RUNNING. */
  readonly suspicion: SuspicionChange;
}

interface Waiting extends Candidate {
  /** Monotonic. */
  readonly heardAtMs: number;
  /** Why an earlier round did not let it through; `null` before the first. */
  readonly heldFor: string | null;
}

/** A round is due after so many verified runs; sweep.ts makes one every few seconds besides, and one at the end. */
const RUNS_PER_ROUND = 64;
/** What the backend said longer ago than this is not acted upon. */
const FRESH_MS = 30_000;
const CANARIES = 3;

/** The confirmed presumptions of one sweep: set aside as they come, decided on in rounds, by the rules of guard.ts. */
export class GuardRounds {
  readonly #deps: SweepDeps;
  readonly #options: SweepOptions;
  readonly #term: SweepTerm;
  readonly #query: StaleQuery;
  readonly #writer: RunWriter;
  /** Runs that this sweep may still confirm; a mass has to be seen before its first victim. */
  readonly #confirmable: Set<string>;
  #appliedLastHour: number;
  #confirmed = 0;
  #answered = 0;
  #life: Life | null = null;
  #waiting: Waiting[] = [];
  #verifiedSinceRound = 0;
  #round: Promise<void> | null = null;
  #said: string | null = null;

  constructor(
    deps: SweepDeps,
    options: SweepOptions,
    term: SweepTerm,
    query: StaleQuery,
    writer: RunWriter,
    facts: GuardFacts,
  ) {
    this.#deps = deps;
    this.#options = options;
    this.#term = term;
    this.#query = query;
    this.#writer = writer;
    const named = options.runIds === null ? null : new Set(options.runIds);
    this.#confirmable = new Set(facts.confirmable.filter((id) => named?.has(id) ?? true));
    this.#appliedLastHour = facts.presumedLastHour;
  }

  /** Every answer counts, whatever it leads to. */
  heard(run: RunSnapshot, evidence: Evidence, verdict: Verdict): void {
    this.#verifiedSinceRound += 1;
    if (!isAuthoritative(evidence)) return;
    this.#answered += 1;
    if (showsLife(evidence)) this.#life = "seen";
    if (verdict.kind !== "fail" || verdict.basis === "proof") this.#confirmable.delete(run.id);
  }

  /** The run is not RUNNING or not stale any more. */
  leftAlone(runId: string): void {
    this.#confirmable.delete(runId);
  }

  setAside(candidate: Candidate): void {
    this.#confirmable.delete(candidate.run.id);
    this.#confirmed += 1;
    const heardAtMs = this.#deps.clock.monotonicMs();
    this.#waiting.push({ ...candidate, heardAtMs, heldFor: null });
  }

  async roundWhenDue(signal: AbortSignal): Promise<void> {
    const due = this.#round === null && this.#verifiedSinceRound >= RUNS_PER_ROUND;
    if (due) await this.round(signal);
  }

  /**
   * Applies what may be applied; the rest goes on waiting while its evidence is fresh. One round at a time.
   *
   * @throws what ends the sweep, or `signal.reason`.
   */
  async round(signal: AbortSignal): Promise<void> {
    await (this.#round ?? this.#begin(signal, false));
  }

  /** The last round: what it does not let through is held. Nothing may be set aside any more. */
  async end(signal: AbortSignal): Promise<void> {
    await this.#round;
    await this.#begin(signal, true);
  }

  #begin(signal: AbortSignal, last: boolean): Promise<void> {
    this.#round = this.#decide(signal, last).finally(() => {
      this.#round = null;
    });
    return this.#round;
  }

  async #decide(signal: AbortSignal, last: boolean): Promise<void> {
    this.#verifiedSinceRound = 0;
    if (this.#waiting.length === 0) return;
    const life = await this.#findLife(signal);
    const waiting = this.#waiting;
    this.#waiting = [];
    const old = waiting.filter((candidate) => !this.#isFresh(candidate));
    const fresh = waiting.filter((candidate) => this.#isFresh(candidate));
    const { apply, hold, reason } = this.#verdictOn(fresh, life);
    const refused = hold.map((candidate) => ({ ...candidate, heldFor: reason }));
    if (!last) this.#waiting = [...refused, ...this.#waiting];

    await this.#each(apply, (candidate) => this.#apply(candidate, signal), signal);
    const leave = last ? [...old, ...refused] : old;
    this.#sayWhy(leave);
    await this.#each(leave, (candidate) => this.#leave(candidate, signal), signal);
  }

  #verdictOn(waiting: readonly Waiting[], life: Life) {
    if (this.#options.overrideReason !== null) return { apply: waiting, hold: [], reason: null };
    const scene: GuardScene = {
      life,
      answered: this.#answered,
      presumed: this.#confirmed + this.#confirmable.size,
      appliedLastHour: this.#appliedLastHour,
    };
    const { policy, guard } = this.#options;
    const overdueMs = ({ run }: Waiting) => this.#query.horizon.ms - hardDeadline(run, policy);
    return decide(waiting, overdueMs, scene, guard);
  }

  /** With no life seen so far, a few runs that should be alive are asked, once per sweep. */
  async #findLife(signal: AbortSignal): Promise<Life> {
    const { store, backend, onProgress } = this.#deps;
    // An override needs no sign of life.
    if (this.#options.overrideReason !== null) return "none";
    if (this.#life !== null) return this.#life;
    if ((backend.api?.refusal ?? null) !== null) return "none";
    const canaries = await store.canaries(this.#query, CANARIES);
    onProgress();
    const shown = await showLife(this.#deps, canaries, signal);
    // A run of the sweep may have shown life meanwhile.
    this.#life ??= shown ? "seen" : canaries.length === 0 ? "nobody-to-ask" : "none";
    return this.#life;
  }

  async #apply(candidate: Waiting, signal: AbortSignal): Promise<void> {
    // Those before it may have taken their time.
    if (!this.#isFresh(candidate)) return await this.#leave(candidate, signal);
    const { run, verdict, evidence, verifyMs } = candidate;
    const { basis, reason } = verdict;
    await this.#report(candidate, signal, async () => {
      const settled = await this.#writer.end(run, verdict, evidence, signal);
      const counts = settled.kind === "written" && this.#options.overrideReason === null;
      if (counts) this.#appliedLastHour += 1;
      return outcomeOf(run.id, { action: "failed", basis, reason, verifyMs }, settled);
    });
  }

  async #leave(candidate: Waiting, signal: AbortSignal): Promise<void> {
    const { run, verdict, verifyMs, heldFor } = candidate;
    const { basis } = verdict;
    const suspicion = { ...candidate.suspicion, held: heldFor !== null };
    const deferMs = askAgainInMs(suspicion.unknownTimes, this.#options.deferMs);
    const action = heldFor === null ? "suspected" : "held";
    const why = heldFor ?? "the answer grew old";
    const reason = `${verdict.reason}, ${why}`;
    await this.#report(candidate, signal, async () => {
      const write = { run, deferMs, notAfterMs: null, statusDetail: null, suspicion };
      const settled = await this.#writer.leave(write, signal);
      return outcomeOf(run.id, { action, basis, reason, verifyMs }, settled);
    });
  }

  async #report(
    { run }: Waiting,
    signal: AbortSignal,
    work: Parameters<typeof containTrouble>[3]["work"],
  ): Promise<void> {
    const errorTimes = () => run.suspicion?.errorTimes ?? 0;
    const attempt = { runId: run.id, errorTimes, work };
    const { deferMs } = this.#options;
    const outcome = await containTrouble(this.#deps, this.#term, deferMs, attempt, signal);
    if (outcome !== null) this.#deps.onOutcome(outcome);
  }

  #each(
    candidates: readonly Waiting[],
    task: (candidate: Waiting) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    return forEachConcurrently(oneByOne(candidates), this.#options.concurrency, task, signal);
  }

  #isFresh({ heardAtMs }: Waiting): boolean {
    return this.#deps.clock.monotonicMs() - heardAtMs <= FRESH_MS;
  }

  /** Once per sweep and reason. */
  #sayWhy(left: readonly Waiting[]): void {
    const held = left.filter(({ heldFor }) => heldFor !== null);
    const reason = held[0]?.heldFor ?? null;
    if (reason === null || reason === this.#said) return;
    this.#said = reason;
    this.#deps.log.warn({ held: held.length, reason }, "the guard holds verdicts back");
    this.#deps.onHold(reason);
  }
}

async function* oneByOne<T>(items: readonly T[]) {
  yield* items;
}
