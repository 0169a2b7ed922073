import type { Action } from "../../rules/model.ts";
import type { RunOutcome, SweepCounts } from "../../rules/report.ts";

/** Keeps a report small enough to print, log and store whatever the size of the sweep. */
const MAX_RUNS = 1000;

/** Counts outcomes as they come in. */
export class OutcomeCounter {
  readonly #byAction = new Map<Action, number>();
  readonly #runs: RunOutcome[] = [];
  #total = 0;
  #blocked = 0;

  /** A run about which nobody was asked. */
  addBlocked(outcome: RunOutcome): void {
    this.#blocked += 1;
    this.add(outcome);
  }

  add(outcome: RunOutcome): void {
    this.#total += 1;
    this.#byAction.set(outcome.action, this.#count(outcome.action) + 1);
    if (this.#runs.length < MAX_RUNS) this.#runs.push(outcome);
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

  /** Part of the skipped ones: left because of the shared API, not because they need nothing. */
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
