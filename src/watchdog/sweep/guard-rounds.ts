import {
  decide,
  type GuardScene,
  isAuthoritative,
  type Life,
  showsLife,
} from "../../rules/guard.ts";
import type { Evidence, RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs, type SuspicionChange } from "../../rules/suspicion.ts";
import { hardDeadline } from "../../rules/verdict.ts";
import { forEachConcurrently } from "../concurrency/for-each-concurrently.ts";
import type { GuardFacts, StaleQuery } from "../store-ports.ts";
import { showLife } from "./control-runs.ts";
import type { SweepDeps, SweepOptions, SweepTerm } from "./model.ts";
import { containTrouble, outcomeOf } from "./run-outcome.ts";
import type { RunWriter } from "./write-run.ts";

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
  /** Runs that one more sighting would confirm, of the whole fleet: a mass has to be seen before its first victim. */
  readonly #confirmable: Set<string>;
  readonly #facts: GuardFacts;
  /** Only some runs were asked for: what such a sweep sees is not the measure of what is normal. */
  readonly #isLimited: boolean;
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
    this.#isLimited = options.runIds !== null || options.limit !== null;
    this.#facts = facts;
    this.#confirmable = new Set(facts.confirmable);
    this.#appliedLastHour = facts.presumedLastHour;
  }

  /** Every answer counts, whatever it leads to. */
  heard(run: RunSnapshot, evidence: Evidence, verdict: Verdict): void {
    this.#verifiedSinceRound += 1;
    if (!isUnderSuspicion(verdict)) this.#confirmable.delete(run.id);
    if (!isAuthoritative(evidence)) return;
    this.#answered += 1;
    if (showsLife(evidence)) this.#life = "seen";
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
    const old = this.#waiting.filter((candidate) => !this.#isFresh(candidate));
    const fresh = this.#waiting.filter((candidate) => this.#isFresh(candidate));
    const { apply, hold, reason } = this.#verdictOn(fresh, life);
    const refused = hold.map((candidate) => ({ ...candidate, heldFor: reason }));
    this.#waiting = refused;

    await this.#each(apply, (candidate) => this.#apply(candidate, signal), signal);
    const leave = last ? [...old, ...refused] : old;
    this.#sayWhy(leave);
    await this.#each(leave, (candidate) => this.#leave(candidate, signal), signal);
  }

  #verdictOn(waiting: readonly Waiting[], life: Life) {
    if (this.#options.overrideReason !== null) return { apply: waiting, hold: [], reason: null };
    const { policy, guard } = this.#options;
    const overdueMs = ({ run }: Waiting) => this.#query.horizon.ms - hardDeadline(run, policy);
    return decide(waiting, overdueMs, this.#scene(life), guard);
  }

  /** Limited sweeps in a row would each see a few of a mass: what others have ended in the last hour counts with them. */
  #scene(life: Life): GuardScene {
    const { presumedLastHour, provenLastHour, lastAnswered } = this.#facts;
    const presumed = this.#confirmed + this.#confirmable.size;
    return {
      life,
      answered: this.#isLimited ? lastAnswered : this.#answered,
      presumed: this.#isLimited ? presumed + presumedLastHour : presumed,
      appliedLastHour: this.#appliedLastHour,
      provenLastHour,
    };
  }

  /** With no life seen so far, a few runs that should be alive are asked, once per sweep. */
  async #findLife(signal: AbortSignal): Promise<Life> {
    const { store, backend, onProgress } = this.#deps;
    // An override needs no sign of life.
    if (this.#options.overrideReason !== null) return "none";
    if (this.#life !== null) return this.#life;
    if ((backend.api?.blockedReason ?? null) !== null) return "none";
    const canaries = await store.canaries(this.#query, backend.needs ?? [], CANARIES);
    onProgress();
    const shown = await showLife(this.#deps, canaries, signal);
    // A run of the sweep may have shown life meanwhile.
    this.#life ??= shown ? "seen" : canaries.length === 0 ? "nobody-to-ask" : "none";
    return this.#life;
  }

  async #apply(candidate: Waiting, signal: AbortSignal): Promise<RunOutcome> {
    const { run, verdict, evidence, verifyMs } = candidate;
    const { basis, reason } = verdict;
    // Those before it may have taken their time, and so may the wait for a connection.
    const check = () => {
      if (!this.#isFresh(candidate)) throw new StaleEvidenceError("the answer grew old");
    };
    try {
      const settled = await this.#writer.end(run, verdict, evidence, signal, check);
      if (settled.kind === "written") this.#appliedLastHour += 1;
      return outcomeOf(run.id, { action: "failed", basis, reason, verifyMs }, settled);
    } catch (error) {
      if (!(error instanceof StaleEvidenceError)) throw error;
      return await this.#leave(candidate, signal);
    }
  }

  async #leave(candidate: Waiting, signal: AbortSignal): Promise<RunOutcome> {
    const { run, verdict, verifyMs, heldFor } = candidate;
    const { basis } = verdict;
    const suspicion = { ...candidate.suspicion, held: heldFor !== null };
    const deferMs = askAgainInMs(suspicion.unknownTimes, this.#options.deferMs);
    const action = heldFor === null ? "suspected" : "held";
    const why = heldFor ?? "the answer grew old";
    const reason = `${verdict.reason}, ${why}`;
    const settled = await this.#writer.leave(
      { run, deferMs, statusDetail: null, suspicion },
      signal,
    );
    return outcomeOf(run.id, { action, basis, reason, verifyMs }, settled);
  }

  #each(
    candidates: readonly Waiting[],
    work: (candidate: Waiting) => Promise<RunOutcome>,
    signal: AbortSignal,
  ): Promise<void> {
    const { concurrency, deferMs } = this.#options;
    return forEachConcurrently(
      oneByOne(candidates),
      concurrency,
      async (candidate) => {
        const { run } = candidate;
        const errorTimes = () => run.suspicion?.errorTimes ?? 0;
        const attempt = { runId: run.id, errorTimes, work: () => work(candidate) };
        const outcome = await containTrouble(this.#deps, this.#term, deferMs, attempt, signal);
        if (outcome !== null) this.#deps.onOutcome(outcome);
      },
      signal,
    );
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

/** What was heard is too old to act upon; never leaves this file. */
class StaleEvidenceError extends Error {
  override readonly name = "StaleEvidenceError";
}

/** An answer that told nothing leaves a suspicion as it was. */
function isUnderSuspicion(verdict: Verdict): boolean {
  const { kind } = verdict;
  if (kind === "undetermined" || kind === "skip") return true;
  return kind === "fail" && verdict.basis === "presumption";
}

async function* oneByOne<T>(items: readonly T[]) {
  yield* items;
}
