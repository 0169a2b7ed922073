import type { RunSnapshot, Suspicion } from "../../../rules/model.ts";
import type { Fence } from "../../../watchdog/ports.ts";
import type { DeferWrite, StaleQuery, TerminalWrite } from "../../../watchdog/store-ports.ts";
import { toMillis } from "../sql.ts";
import type { SnapshotRow } from "./run-reads.ts";

/** What goes into the holes of the statements, and what their rows mean. */

export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

export function queryValues({ horizon, nullDeadlineAfterMs, includeSuspected }: StaleQuery) {
  return { horizon: horizon.text, nullDeadlineAfterMs, includeSuspected };
}

export function guardValues(run: RunSnapshot, fence: Pick<Fence, "epoch">) {
  return {
    id: run.id,
    timeoutAt: run.timeoutAt,
    sandboxId: run.sandboxId,
    bashCommandId: run.bashCommandId,
    beganAt: run.beganAt,
    epoch: fence.epoch,
  };
}

export function terminalValues(write: TerminalWrite) {
  const { run, verdict } = write;
  const hasSandbox = run.sandboxId !== null && run.sandboxId !== "";
  const cleans = write.cleanupInMs !== null && hasSandbox && !run.keepAlive;
  const failed = verdict.kind === "fail" ? verdict : null;
  return {
    status: failed === null ? "COMPLETED" : "FAILED",
    errorDetail: failed?.errorDetail ?? null,
    statusDetail: failed?.statusDetail ?? "null",
    automationId: run.automationId,
    userId: run.userId,
    orgId: run.orgId,
    holder: write.holder,
    trigger: write.trigger,
    basis: verdict.basis,
    reason: verdict.reason,
    evidence: JSON.stringify(write.evidence),
    cleanupState: cleans ? "pending" : "none",
    cleanupInMs: cleans ? write.cleanupInMs : null,
    deletionInMs: cleans ? write.deletionInMs : null,
    firstRunState: run.firstRunOpen ? "pending" : "none",
    overrideReason: write.overrideReason,
  };
}

export function deferValues(write: DeferWrite) {
  const { deferMs, shieldMs, notAfterMs, statusDetail, suspicion } = write;
  return { deferMs, shieldMs, notAfterMs, statusDetail, ...suspicion };
}

/** As Postgres reads an array. */
export function arrayText(ids: readonly string[]): string {
  return `{${ids.join(",")}}`;
}

export function toSnapshot(row: SnapshotRow): RunSnapshot {
  return {
    id: row.id,
    automationId: row.automationId,
    userId: row.userId,
    orgId: row.orgId,
    status: row.status,
    stale: row.stale === true,
    timeoutAt: row.timeoutAt,
    sandboxId: row.sandboxId,
    bashCommandId: row.bashCommandId,
    beganAt: row.beganAt,
    beganAtMs: Number(row.beganAtMs),
    timeoutS: row.timeoutS,
    keepAlive: row.keepAlive === true,
    firstRunOpen: row.firstRunOpen === true,
    statusDetail: parseJson(row.statusDetail),
    suspicion: toSuspicion(row),
    readAt: row.readAt,
  };
}

function toSuspicion(row: SnapshotRow): Suspicion | null {
  const { presumedTimes, unknownTimes, errorTimes, sincePresumedMs, unknownSinceMs } = row;
  if (presumedTimes === null || unknownTimes === null || errorTimes === null) return null;
  return {
    presumedTimes,
    presumedReason: row.presumedReason,
    sincePresumedMs: toMillis(sincePresumedMs),
    unknownTimes,
    unknownSinceMs: unknownSinceMs === null ? null : Number(unknownSinceMs),
    errorTimes,
  };
}

/** The host's column may hold anything json allows; what cannot be parsed counts as nothing. */
function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
