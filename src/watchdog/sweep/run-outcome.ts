import type { Action, Basis } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import { askAgainInMs } from "../../rules/suspicion.ts";
import { endsTheSweep } from "../errors.ts";
import type { SweepDeps, SweepTerm } from "./model.ts";
import type { ResolvedWrite } from "./resolve-write.ts";

/** What a sweep meant to do about a run, before it is known what became of the write. */
export interface Intent {
  readonly action: Action;
  readonly basis: Basis | null;
  readonly reason: string | null;
  readonly verifyMs: number | null;
}

export function outcomeOf(runId: string, intent: Intent, resolved: ResolvedWrite): RunOutcome {
  const { verifyMs } = intent;
  switch (resolved.kind) {
    case "written":
      return { runId, ...intent };
    case "lost-race":
    case "busy":
      return { runId, action: resolved.kind, basis: null, reason: null, verifyMs };
    case "error":
      return { runId, action: "error", basis: null, reason: resolved.cause, verifyMs };
  }
}

export interface Attempt {
  readonly runId: string;
  /** Failed attempts before this one. */
  readonly errorTimes: () => number;
  readonly work: () => Promise<RunOutcome | null>;
}

/**
 * Handles one run so that its trouble stays its own: what goes wrong becomes the outcome `error` with its cause, and is
 * remembered, so that the run is taken up again at a growing distance and costs the others nothing.
 *
 * @throws what ends the sweep, or `signal.reason`.
 */
export async function containTrouble(
  { store, log }: SweepDeps,
  { fence }: SweepTerm,
  deferMs: number,
  { runId, errorTimes, work }: Attempt,
  signal: AbortSignal,
): Promise<RunOutcome | null> {
  let outcome: RunOutcome | null;
  try {
    outcome = await work();
    if (outcome?.action !== "error") return outcome;
    const { reason } = outcome;
    // The daemon's report holds counts only: without this line nobody would learn which run it was, and why.
    log.error({ runId, reason }, "a run could not be handled");
  } catch (error) {
    if (signal.aborted || endsTheSweep(error)) throw error;
    log.error({ err: error, runId }, "a run could not be handled");
    // The message may hold anything, so it stays in the log.
    const reason = "unexpected error, the log says why";
    outcome = { runId, action: "error", basis: null, reason, verifyMs: null };
  }
  const retryInMs = askAgainInMs(errorTimes() + 1, deferMs);
  try {
    await store.noteError({ runId, cause: outcome.reason ?? "unknown", retryInMs }, fence);
  } catch (error) {
    if (signal.aborted || endsTheSweep(error)) throw error;
    log.error({ err: error, runId }, "noting a run's trouble failed");
  }
  return outcome;
}
