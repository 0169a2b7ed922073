import type { Failure, RunSnapshot, Suspicion, VerdictPolicy } from "../../../src/rules/model.ts";

/** The host's defaults: a run may take 600 s, so its hard deadline is 1500 s after its start. */
export const POLICY: VerdictPolicy = {
  defaultRunMs: 600_000,
  maxRunMs: 1_800_000,
  readyTimeoutMs: 300_000,
  hardGraceMs: 600_000,
  unverifiableAfterMs: 86_400_000,
};

export const BEGAN_AT_MS = Date.UTC(2026, 7, 22, 9, 30);
export const READ_AT = "2026-08-22T10:00:00.123456+00:00";

export function snapshot(changes: Partial<RunSnapshot> = {}): RunSnapshot {
  return {
    id: "run-1",
    automationId: "automation-1",
    userId: null,
    orgId: null,
    status: "RUNNING",
    stale: true,
    timeoutAt: "2026-08-22 09:59:00.000001+00",
    sandboxId: "sandbox-1",
    bashCommandId: "command-1",
    beganAt: "2026-08-22T09:30:00+00:00",
    beganAtMs: BEGAN_AT_MS,
    timeoutS: null,
    keepAlive: false,
    firstRunOpen: false,
    statusDetail: null,
    suspicion: null,
    isRemembered: false,
    firstDeadlineMs: Date.parse(READ_AT) - 60_000,
    readAt: READ_AT,
    ...changes,
  };
}

export function suspicion(changes: Partial<Suspicion> = {}): Suspicion {
  return {
    presumedTimes: 0,
    presumedReason: null,
    sincePresumedMs: null,
    unknownTimes: 0,
    unknownSinceMs: null,
    errorTimes: 0,
    ...changes,
  };
}

export function failure(changes: Partial<Failure> = {}): Failure {
  return {
    source: "sandbox_api",
    operation: "get_sandbox",
    kind: "rate_limited",
    statusCode: 429,
    message: "sandbox_api get_sandbox returned HTTP 429",
    retryAfterMs: null,
    ...changes,
  };
}
