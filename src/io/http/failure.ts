/**
 * What a call that taught nothing is called: the host's vocabulary and wording. The texts reach users and logs, so they
 * hold names, codes and numbers of ours only; never an address, a key or anything from an answer's body.
 */
import type { Failure } from "../../rules/model.ts";
import type { CleanupResult } from "../../watchdog/ports.ts";

/** Who is asked, and what: both appear in every message. */
export interface CallName {
  readonly source: "service_api" | "sandbox_api" | "agent_server" | "verify_endpoint" | "backend";
  readonly operation: string;
}

/** The two kinds of `Evidence` that decide nothing. */
export type CannotTell =
  | { readonly kind: "unreachable"; readonly failure: Failure }
  | { readonly kind: "malformed"; readonly failure: Failure };

/** Nothing was sent, and it is of no use to try before `retryAfterMs` have passed. */
export interface NotAsked {
  readonly kind: "not-asked";
  readonly reason: string;
  readonly retryAfterMs: number;
  /** False when others may be asked about. */
  readonly everybody: boolean;
}

/** Transient statuses and rejected credentials are `unreachable`; whatever else is not an answer is `malformed`. */
export function statusFailure(
  call: CallName,
  statusCode: number,
  retryAfterMs: number | null,
): CannotTell {
  const kind = kindOfStatus(statusCode);
  const failure = { ...failureOf(call, kind, `returned HTTP ${statusCode}`), statusCode };
  if (kind === "unknown" && !isUnauthorizedStatus(statusCode))
    return { kind: "malformed", failure };
  return { kind: "unreachable", failure: { ...failure, retryAfterMs } };
}

/** 401 and 403 are no verdict on the run: keys rotate, and an auth layer can be down for hours. */
export function isUnauthorizedStatus(statusCode: number): boolean {
  return statusCode === 401 || statusCode === 403;
}

export function timedOut(call: CallName, missing: string, withinMs: number): CannotTell {
  const message = `timed out: no ${missing} within ${withinMs} ms`;
  return { kind: "unreachable", failure: failureOf(call, "timeout", message) };
}

/** `code` is the error's code (`ECONNREFUSED`), the only part of a network error without addresses in it. */
export function transportFailed(call: CallName, code: string): CannotTell {
  return { kind: "unreachable", failure: failureOf(call, "transport", `transport error: ${code}`) };
}

/** `what` goes on after source and operation: `answered with something that is not JSON`. */
export function malformed(call: CallName, what: string): CannotTell {
  return { kind: "malformed", failure: failureOf(call, "unknown", what) };
}

export function cleanupFailed({ failure }: CannotTell): Extract<CleanupResult, { kind: "failed" }> {
  return { kind: "failed", failure: failure.message, retryAfterMs: failure.retryAfterMs };
}

function kindOfStatus(statusCode: number): Failure["kind"] {
  if (statusCode === 408) return "timeout";
  if (statusCode === 429) return "rate_limited";
  return statusCode >= 500 ? "server_error" : "unknown";
}

function failureOf(call: CallName, kind: Failure["kind"], what: string): Failure {
  return {
    source: call.source,
    operation: call.operation,
    kind,
    statusCode: null,
    message: `${call.source} ${call.operation} ${what}`,
    retryAfterMs: null,
  };
}
