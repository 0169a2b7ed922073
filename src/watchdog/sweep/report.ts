import { notAskedCause, whatIsWrong } from "../../rules/cause.ts";
import { resultOf, type SweepEnd } from "../../rules/exit-code.ts";
import { pauseReason } from "../../rules/fleet/pause.ts";
import type { Action, Trigger } from "../../rules/model.ts";
import {
  type CleanupSummary,
  countsOf,
  type RunOutcome,
  type SweepCounts,
  type SweepReport,
  UNKNOWN_CAUSE,
  UNKNOWN_FAILURE,
  type Waiting,
  type WaitingCause,
} from "../../rules/report.ts";

/** Keeps a report small enough to print, log and store whatever the size of the sweep. */
const MAX_RUNS = 1000;

/** Counts outcomes as they come in, and passes them on. */
export class OutcomeCounter {
  readonly #onOutcome: (outcome: RunOutcome) => void;
  readonly #byAction = new Map<Action, number>();
  readonly #runs: RunOutcome[] = [];
  readonly #causes = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #total = 0;
  #unserved = 0;

  constructor(onOutcome: (outcome: RunOutcome) => void = () => {}) {
    this.#onOutcome = onOutcome;
  }

  /** A run that was skipped and needed something: the shared API is blocked, or it was named and is not there. */
  addUnserved(outcome: RunOutcome): void {
    this.#unserved += 1;
    countIn(this.#causes, notAskedCause(outcome.reason ?? ""));
    this.add(outcome);
  }

  add(outcome: RunOutcome): void {
    this.#total += 1;
    this.#byAction.set(outcome.action, this.#count(outcome.action) + 1);
    const { action, reason } = outcome;
    if (action === "undetermined") countIn(this.#causes, reason ?? UNKNOWN_CAUSE);
    if (action === "error") countIn(this.#failures, reason ?? UNKNOWN_FAILURE);
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

  /** Part of the skipped ones: all but those that need nothing. */
  get unserved(): number {
    return this.#unserved;
  }

  /** The runs of this sweep that stay RUNNING; of the skipped ones those that need to be asked about. */
  get waiting(): Waiting {
    return {
      alive: this.#count("deferred"),
      suspected: this.#count("suspected"),
      held: this.#count("held"),
      unanswered: this.#count("undetermined") + this.#unserved,
      failing: this.#count("error"),
      nextLookAt: null,
      causes: mostFrequent(this.#causes),
      failures: mostFrequent(this.#failures),
    };
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

/** Many more than are shown; of a text that differs with every run no more are kept. */
const MOST_DIFFERENT = 1000;
const OTHERS = "other causes";

function countIn(counts: Map<string, number>, cause: string): void {
  const isKnown = counts.has(cause) || counts.size < MOST_DIFFERENT;
  const counted = isKnown ? cause : OTHERS;
  counts.set(counted, (counts.get(counted) ?? 0) + 1);
}

const MAX_CAUSES = 20;

function mostFrequent(counts: ReadonlyMap<string, number>): readonly WaitingCause[] {
  return [...counts]
    .map(([cause, count]) => ({ cause, count }))
    .sort((a, b) => b.count - a.count || (a.cause < b.cause ? -1 : 1))
    .slice(0, MAX_CAUSES);
}

/** Of two sets of runs that have none in common. */
export function together(a: Waiting, b: Waiting): Waiting {
  const all = (of: "causes" | "failures") => {
    const counts = new Map<string, number>();
    for (const { cause, count } of [...a[of], ...b[of]]) {
      counts.set(cause, (counts.get(cause) ?? 0) + count);
    }
    return mostFrequent(counts);
  };
  return {
    alive: a.alive + b.alive,
    suspected: a.suspected + b.suspected,
    held: a.held + b.held,
    unanswered: a.unanswered + b.unanswered,
    failing: a.failing + b.failing,
    nextLookAt: [a.nextLookAt, b.nextLookAt].filter((at) => at !== null).sort()[0] ?? null,
    causes: all("causes"),
    failures: all("failures"),
  };
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
  /** Left out when they could not be counted. */
  readonly waiting?: Waiting | null;
  /** Only some runs were named: what others wait for is shown, and is no fault of this sweep. */
  readonly named?: boolean;
  /** What ended the sweep, or kept it from beginning. */
  readonly failure?: string;
}

export function makeReport(facts: ReportFacts): SweepReport {
  const { outcomes = new OutcomeCounter() } = facts;
  const durationMs = Math.round(facts.durationMs);
  const seen = outcomes.waiting;
  const waiting = facts.waiting ?? null;
  const all = facts.named || waiting === null ? seen : waiting;
  const { status, exitCode } = resultOf(facts.end, worse(seen, all), outcomes.unserved);
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
    waiting: waiting && countsOf(waiting),
    message: facts.failure ?? pauseIn(facts.end) ?? messageOf(all) ?? messageOf(seen),
    cleanups: facts.cleanups ?? { done: 0, pending: 0, abandoned: 0 },
    runs: outcomes.runs,
    runsOmitted: outcomes.runsOmitted,
  };
}

/** What became of a run may not have been written down. */
function worse(a: Waiting, b: Waiting) {
  return {
    held: Math.max(a.held, b.held),
    unanswered: Math.max(a.unanswered, b.unanswered),
    failing: Math.max(a.failing, b.failing),
  };
}

function pauseIn(end: SweepEnd): string | null {
  return end.kind === "paused" ? pauseReason(end.pause) : null;
}

function messageOf(waiting: Waiting): string | null {
  const wrong = whatIsWrong(waiting);
  return wrong.length === 0 ? null : wrong.join("; ");
}
