import { isAuthoritative, provesLife } from "../../rules/evidence.ts";
import { WHOLE } from "../../rules/fleet/shard.ts";
import { decide, type GuardScene, type Life } from "../../rules/guard.ts";
import type { RunSnapshot, Verdict } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs, isConfirmable, type SuspicionChange } from "../../rules/suspicion.ts";
import { hardDeadline } from "../../rules/verdict.ts";
import { forEachConcurrently } from "../concurrency/for-each-concurrently.ts";
import { StaleEvidenceError } from "../errors.ts";
import type { GuardFacts } from "../store-ports.ts";
import { anyControlAlive } from "./control-runs.ts";
import type { Judged, SweepContext } from "./model.ts";
import type { RunWriter } from "./write-run.ts";

/** A presumption that was seen often enough. */
export interface Candidate extends Judged<Extract<Verdict, { kind: "fail" }>> {
  /** What is noted if the run stays RUNNING. */
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
/** Those that a round holds back and a later one of the same sweep may let through; the others are held at once. */
const MOST_KEPT = 500;
/** So many wait for a round that no more are asked about before it has ended. */
const MOST_WAITING = 1000;
/** What the backend said longer ago than this is not acted upon. */
const FRESH_MS = 30_000;
const CONTROL_RUNS = 3;

/** Where the guard has nothing to decide. */
export const NO_FACTS: GuardFacts = {
  confirmable: 0,
  presumedLastHour: 0,
  provenLastHour: 0,
  lastAnswered: 0,
  othersAnswered: 0,
};

/** The confirmed presumptions of one sweep: set aside as they come, decided on in rounds, by the rules of guard.ts. */
export class GuardRounds {
  readonly #context: SweepContext;
  readonly #writer: RunWriter;
  readonly #facts: GuardFacts;
  /** Only some runs were asked for: what such a sweep sees is not the measure of what is normal. */
  readonly #isLimited: boolean;
  /** What the other shards saw is not seen here. */
  readonly #isPart: boolean;
  #appliedLastHour: number;
  #confirmed = 0;
  /** Runs that one more observation would confirm, of the whole fleet: a mass failure has to be seen before its first verdict. */
  #confirmable: number;
  #answered = 0;
  #life: Life | null = null;
  #waiting: Waiting[] = [];
  #verifiedSinceRound = 0;
  #round: Promise<void> | null = null;
  #said: string | null = null;

  constructor(context: SweepContext, writer: RunWriter, facts: GuardFacts) {
    const { runIds, limit, shard = WHOLE } = context.request;
    this.#context = context;
    this.#writer = writer;
    this.#isLimited = runIds !== null || limit !== null;
    this.#isPart = shard.count > 1;
    this.#facts = facts;
    this.#confirmable = facts.confirmable;
    this.#appliedLastHour = facts.presumedLastHour;
  }

  /** Every answer counts, whatever it leads to. */
  heard({ run, evidence, verdict }: Judged): void {
    this.#verifiedSinceRound += 1;
    if (!isUnderSuspicion(verdict)) this.#settle(run);
    if (!isAuthoritative(evidence)) return;
    this.#answered += 1;
    if (provesLife(evidence)) this.#life = "seen";
  }

  /** The run is not RUNNING or not stale any more. */
  leftAlone(run: RunSnapshot): void {
    this.#settle(run);
  }

  /** Its outcome is told by a round. */
  setAside(candidate: Candidate): null {
    this.#settle(candidate.run);
    this.#confirmed += 1;
    const heardAtMs = this.#context.clock.monotonicMs();
    this.#waiting.push({ ...candidate, heardAtMs, heldFor: null });
    return null;
  }

  /** Known by what was noted before this sweep: a set of their ids would grow with the fleet. Each run comes here once. */
  #settle({ suspicion }: RunSnapshot): void {
    const { confirmations } = this.#context.options.guard;
    if (isConfirmable(suspicion, confirmations)) this.#confirmable -= 1;
  }

  async roundWhenDue(signal: AbortSignal): Promise<void> {
    const due = this.#round === null && this.#verifiedSinceRound >= RUNS_PER_ROUND;
    if (due || this.#waiting.length >= MOST_WAITING) await this.round(signal);
  }

  /**
   * Applies what may be applied; of the rest, what is overdue longest goes on waiting while its evidence is fresh. One
   * round at a time.
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
    // At one moment for all: between two looks an answer may grow old.
    const nowMs = this.#context.clock.monotonicMs();
    const old = this.#waiting.filter((candidate) => !isFresh(candidate, nowMs));
    const fresh = this.#waiting.filter((candidate) => isFresh(candidate, nowMs));
    const { apply, hold, reason } = this.#verdictOn(fresh, life);
    const held = hold.map((candidate) => ({ ...candidate, heldFor: reason }));
    const kept = last ? 0 : MOST_KEPT;
    this.#waiting = held.slice(0, kept);

    await this.#each(apply, (candidate) => this.#apply(candidate, signal), signal);
    const leave = [...old, ...held.slice(kept)];
    this.#sayWhy(leave);
    await this.#each(leave, (candidate) => this.#leave(candidate, signal), signal);
  }

  #verdictOn(waiting: readonly Waiting[], life: Life) {
    const { options, request, query, watch } = this.#context;
    if (request.overrideReason !== null) return { apply: waiting, hold: [], reason: null };
    const overdueMs = ({ run }: Waiting) => query.horizon.ms - hardDeadline(run, options.policy);
    const scene = this.#scene(life);
    watch.onScene?.(scene);
    return decide(waiting, overdueMs, scene, options.guard);
  }

  /** Limited sweeps in a row would each see a part of a mass failure: what others have ended in the last hour counts with them. */
  #scene(life: Life): GuardScene {
    const { presumedLastHour, provenLastHour, lastAnswered, othersAnswered } = this.#facts;
    const others = this.#isLimited || this.#isPart ? othersAnswered : 0;
    const presumed = this.#confirmed + Math.max(0, this.#confirmable);
    return {
      life,
      answered: (this.#isLimited ? lastAnswered : this.#answered) + others,
      presumed: this.#isLimited ? presumed + presumedLastHour : presumed,
      appliedLastHour: this.#appliedLastHour,
      provenLastHour,
    };
  }

  /** With no life seen so far, a few runs that should be alive are asked, once per sweep. */
  async #findLife(signal: AbortSignal): Promise<Life> {
    const { store, backend, request, query } = this.#context;
    // An override needs no sign of life.
    if (request.overrideReason !== null) return "none";
    if (this.#life !== null) return this.#life;
    if ((backend.api?.blockedReason ?? null) !== null) return "none";
    const controlRuns = await store.controlRuns(query, backend.needs ?? [], CONTROL_RUNS);
    const shown = await anyControlAlive(this.#context, controlRuns, signal);
    // A run of the sweep may have shown life meanwhile.
    this.#life ??= shown ? "seen" : controlRuns.length === 0 ? "nobody-to-ask" : "none";
    return this.#life;
  }

  async #apply(candidate: Waiting, signal: AbortSignal): Promise<RunOutcome> {
    // The writes before it take time, and so does the wait for a connection.
    const check = () => {
      const nowMs = this.#context.clock.monotonicMs();
      if (!isFresh(candidate, nowMs)) throw new StaleEvidenceError("the answer grew old");
    };
    try {
      const outcome = await this.#writer.end(candidate, signal, check, candidate.suspicion);
      if (outcome.action === "failed") this.#appliedLastHour += 1;
      return outcome;
    } catch (error) {
      if (!(error instanceof StaleEvidenceError)) throw error;
      return await this.#leave(candidate, signal);
    }
  }

  async #leave(candidate: Waiting, signal: AbortSignal): Promise<RunOutcome> {
    const { run, verdict, verifyMs, heldFor } = candidate;
    const suspicion = { ...candidate.suspicion, held: heldFor !== null };
    const deferMs = askAgainInMs(suspicion.unknownTimes, this.#context.options.deferMs);
    const action = heldFor === null ? "suspected" : "held";
    const reason = `${verdict.reason}, ${heldFor ?? "the answer grew old"}`;
    const outcome = { action, basis: verdict.basis, reason, verifyMs } as const;
    const leaving = { run, deferMs, statusDetail: null, suspicion, outcome };
    return await this.#writer.leave(leaving, signal);
  }

  #each(
    candidates: readonly Waiting[],
    work: (candidate: Waiting) => Promise<RunOutcome>,
    signal: AbortSignal,
  ): Promise<void> {
    return forEachConcurrently(
      oneByOne(candidates),
      this.#context.options.concurrency,
      async (candidate) => {
        const { run } = candidate;
        let outcome: RunOutcome;
        try {
          outcome = await work(candidate);
        } catch (error) {
          outcome = this.#writer.threw(run.id, error, signal);
        }
        if (outcome.action === "error") await this.#writer.noteError(outcome, run, signal);
        this.#context.outcomes.add(outcome);
      },
      signal,
    );
  }

  /** Once per sweep and reason. */
  #sayWhy(left: readonly Waiting[]): void {
    const held = left.filter(({ heldFor }) => heldFor !== null);
    const reason = held[0]?.heldFor ?? null;
    if (reason === null || reason === this.#said) return;
    this.#said = reason;
    const { log, watch } = this.#context;
    log.warn({ held: held.length, reason }, "the guard holds verdicts back");
    watch.onHold?.(reason);
  }
}

function isFresh({ heardAtMs }: Waiting, nowMs: number): boolean {
  return nowMs - heardAtMs <= FRESH_MS;
}

/** An inconclusive answer leaves a suspicion as it was. */
function isUnderSuspicion(verdict: Verdict): boolean {
  const { kind } = verdict;
  if (kind === "undetermined" || kind === "skip") return true;
  return kind === "fail" && verdict.basis === "presumption";
}

async function* oneByOne<T>(items: readonly T[]) {
  yield* items;
}
