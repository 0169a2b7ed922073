import { resultOf, type SweepEnd } from "../../rules/exit-code.ts";
import type { Action, Trigger } from "../../rules/model.ts";
import type { CleanupSummary, RunOutcome, SweepCounts, SweepReport } from "../../rules/report.ts";

/** Keeps a report small enough to print, log and store whatever the size of the sweep. */
const MAX_RUNS = 1000;

/** Counts outcomes as they come in, and passes them on. */
export class OutcomeCounter {
  readonly #onOutcome: (outcome: RunOutcome) => void;
  readonly #byAction = new Map<Action, number>();
  readonly #runs: RunOutcome[] = [];
  #total = 0;
  #blocked = 0;

  constructor(onOutcome: (outcome: RunOutcome) => void = () => {}) {
    this.#onOutcome = onOutcome;
  }

  /** A run that was skipped because the shared API is blocked. */
  addBlocked(outcome: RunOutcome): void {
    this.#blocked += 1;
    this.add(outcome);
  }

  add(outcome: RunOutcome): void {
    this.#total += 1;
    this.#byAction.set(outcome.action, this.#count(outcome.action) + 1);
    if (this.#runs.length < MAX_RUNS) this.#runs.push(outcome);
    this.#onOutcome(outcome);
  }

  get counts(): SweepCounts {
    return {
      stale: this.#total,
      completed: this.#count("completed"),
      failed: this.#count("failed"),
      deferred: this.#count("deferred"),
      suspected: this.#count("suspected"),
      undetermined: this.#count("undetermined"),
      lostRace: this.#count("lost-race"),
      busy: this.#count("busy"),
      held: this.#count("held"),
      skipped: this.#count("skipped"),
      errors: this.#count("error"),
    };
  }

  /** Part of the skipped ones: because the shared API is blocked, not because they need nothing. */
  get blocked(): number {
    return this.#blocked;
  }

  get runs(): readonly RunOutcome[] {
    return this.#runs;
  }

  get runsOmitted(): number {
    return this.#total - this.#runs.length;
  }

  #count(action: Action): number {
    return this.#byAction.get(action) ?? 0;
  }
}

export interface ReportFacts {
  readonly end: SweepEnd;
  readonly dryRun: boolean;
  readonly trigger: Trigger;
  readonly holder: string;
  readonly epoch: number | null;
  /** Unix milliseconds; the horizon when there is one. */
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Left out when nothing was swept. */
  readonly outcomes?: OutcomeCounter;
  readonly cleanups?: CleanupSummary;
}

export function makeReport(facts: ReportFacts): SweepReport {
  const { outcomes = new OutcomeCounter() } = facts;
  const durationMs = Math.round(facts.durationMs);
  const { status, exitCode } = resultOf(facts.end, outcomes.counts, outcomes.blocked);
  return {
    version: 1,
    status,
    exitCode,
    dryRun: facts.dryRun,
    trigger: facts.trigger,
    holder: facts.holder,
    epoch: facts.epoch,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    finishedAt: new Date(facts.startedAtMs + durationMs).toISOString(),
    durationMs,
    counts: outcomes.counts,
    cleanups: facts.cleanups ?? { done: 0, pending: 0, abandoned: 0 },
    runs: outcomes.runs,
    runsOmitted: outcomes.runsOmitted,
  };
}
