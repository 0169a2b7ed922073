import type { SweepReport } from "../../rules/report.ts";
import type { Clock, Log } from "../ports.ts";

/** A worker that has nothing to do is heard from so often. */
const HEARTBEAT_MS = 10 * 60_000;

/** Logs the worker's sweeps: each that changed something, and now and then that there was nothing to change. */
export class SweepLog {
  readonly #log: Log;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #saidAtMs: number;
  #saidExitCode = 0;
  #quiet = 0;

  constructor(log: Log, clock: Pick<Clock, "monotonicMs">) {
    this.#log = log;
    this.#clock = clock;
    this.#saidAtMs = clock.monotonicMs();
  }

  swept(report: SweepReport): void {
    const { runs: _, runsOmitted: __, ...summary } = report;
    const level = report.exitCode === 0 ? "info" : "warn";
    const finished = report.dryRun ? "observed, nothing was written" : "sweep finished";
    if (hasChanged(report) || report.exitCode !== this.#saidExitCode) {
      this.#log[level](summary, finished);
      this.#said(report);
      return;
    }
    this.#log.debug(summary, finished);
    this.#quiet += 1;
    if (this.#clock.monotonicMs() - this.#saidAtMs < HEARTBEAT_MS) return;
    const { epoch, waiting, message } = report;
    this.#log[level]({ sweeps: this.#quiet, epoch, waiting, message }, "sweeps found nothing new");
    this.#said(report);
  }

  #said({ exitCode }: SweepReport): void {
    this.#saidAtMs = this.#clock.monotonicMs();
    this.#saidExitCode = exitCode;
    this.#quiet = 0;
  }
}

/** Putting off a run that is alive, or that somebody else is writing, is nothing new. */
function hasChanged({ counts, cleanups }: SweepReport): boolean {
  const { stale, deferred, lostRace, busy } = counts;
  return stale - deferred - lostRace - busy + cleanups.done + cleanups.abandoned > 0;
}
