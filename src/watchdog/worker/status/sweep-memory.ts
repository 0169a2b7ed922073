import type {
  PastHold,
  PastVerdict,
  RunOutcome,
  SweepReport,
  SweepSummary,
} from "../../../rules/report.ts";

/** An hour of a sweep a minute. */
const SWEEPS = 60;
const VERDICTS = 20;
const HELD_RUNS = 5;

/** The last sweeps of this process and what they ended, for people to look at. Bounded, and gone with the process. */
export class SweepMemory {
  readonly #sweeps: SweepSummary[] = [];
  readonly #verdicts: PastVerdict[] = [];
  #hold: PastHold | null = null;

  /** Oldest first. */
  get sweeps(): readonly SweepSummary[] {
    return [...this.#sweeps];
  }

  /** Newest first. */
  get verdicts(): readonly PastVerdict[] {
    return [...this.#verdicts];
  }

  /** Of the last sweep that held anything back; `null` when none did. */
  get hold(): PastHold | null {
    return this.#hold;
  }

  ended(outcome: RunOutcome, decidedAt: Date): void {
    if (outcome.action !== "completed" && outcome.action !== "failed") return;
    this.#verdicts.unshift({ decidedAt, outcome });
    this.#verdicts.length = Math.min(this.#verdicts.length, VERDICTS);
  }

  /** @param heldFor why the guard held verdicts back in it; `null` when it did not. */
  swept({ runs, runsOmitted: _, ...summary }: SweepReport, heldFor: string | null): void {
    this.#sweeps.push(summary);
    if (this.#sweeps.length > SWEEPS) this.#sweeps.shift();
    if (summary.counts.held === 0) return;
    const held = runs.filter(({ action }) => action === "held").slice(0, HELD_RUNS);
    const runIds = held.map(({ runId }) => runId);
    this.#hold = { at: summary.finishedAt, reason: heldFor, runIds };
  }
}
