/** One log line for each run that ends or is suspected, with why. Fixed vocabulary and ids; no tenant's text. */
import type { Basis, RunSnapshot } from "../../rules/model.ts";
import type { SuspicionChange } from "../../rules/suspicion.ts";
import type { Log } from "../ports.ts";
import type { TerminalWrite } from "../store-ports.ts";

export interface LoggedVerdict {
  readonly run: RunSnapshot;
  readonly outcome: "COMPLETED" | "FAILED" | "suspected" | "held";
  readonly basis: Basis | null;
  readonly reason: string | null;
  /** Observations of a presumption, this one included. */
  readonly seen: number;
  /** `null` while the run goes on. */
  readonly cleanup: Pick<TerminalWrite, "cleanupInMs" | "deletionInMs"> | null;
}

const MESSAGES: Readonly<Record<LoggedVerdict["outcome"], string>> = {
  COMPLETED: "run ended",
  FAILED: "run ended",
  suspected: "run suspected",
  held: "run held back by the guard",
};

export function logVerdict(log: Log, verdict: LoggedVerdict, horizonMs: number): void {
  const { run, outcome, basis, reason, seen, cleanup } = verdict;
  const overdueSeconds = Math.max(0, Math.round((horizonMs - run.firstDeadlineMs) / 1000));
  log.info(
    {
      runId: run.id,
      automationId: run.automationId,
      outcome,
      basis,
      reason,
      overdueSeconds,
      seen,
      sandbox: sandboxAfter(run, cleanup),
    },
    MESSAGES[outcome],
  );
}

/** How often a run was seen as it is now; proof needs to be seen once. */
export function timesSeen(run: RunSnapshot, suspicion: SuspicionChange | null): number {
  return Math.max(1, suspicion?.presumedTimes ?? run.suspicion?.presumedTimes ?? 0);
}

function sandboxAfter(run: RunSnapshot, cleanup: LoggedVerdict["cleanup"]): string {
  if (!run.sandboxId) return "none";
  if (cleanup === null) return "left alone while the run goes on";
  const { cleanupInMs, deletionInMs } = cleanup;
  if (run.keepAlive) return "kept, its automation wants it so";
  if (cleanupInMs === null) return "left alone, this backend deletes none";
  const inMs = deletionInMs ?? cleanupInMs;
  if (inMs === 0) return "deleted now";
  return `deleted in ${Math.round(inMs / 1000)} s${deletionInMs === null ? "" : ", paused before"}`;
}
