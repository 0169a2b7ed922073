/**
 * What comes of a call, and how a call without a usable answer is reported, in the host's vocabulary and wording. The texts
 * reach users and logs, so they hold only our own names, codes and numbers; never an address, a key or anything from
 * an answer's body.
 */
import type { Evidence, Failure } from "../../rules/model.ts";
import type { CleanupResult } from "../../watchdog/ports.ts";
import type { CallName } from "./call.ts";

/**
 * `dateMs` is when the answer was made by the server's clock, Unix milliseconds in whole seconds; `null` where that is not
 * known.
 */
export type HttpAnswer =
  /** A status below 300 with JSON, or an expected 404 with JSON. */
  | {
      readonly kind: "json";
      readonly status: number;
      readonly body: unknown;
      readonly dateMs: number | null;
    }
  /** Any other status, or one below 300 when nothing was expected. */
  | {
      readonly kind: "status";
      readonly status: number;
      readonly retryAfterMs: number | null;
      readonly dateMs: number | null;
    }
  | CannotTell;

/** The two kinds of `Evidence` that decide nothing. */
export type CannotTell =
  | { readonly kind: "unreachable"; readonly failure: Failure }
  | { readonly kind: "malformed"; readonly failure: Failure };

/** Nothing was sent, and there is no point in trying before `retryAfterMs` have passed. */
export interface NotAsked {
  readonly kind: "not-asked";
  readonly reason: string;
  readonly retryAfterMs: number;
  /** False when it concerns only this owner. */
  readonly everybody: boolean;
}

/** What came of a call that a gate may have stopped before the client. */
export type Answer = HttpAnswer | NotAsked;

/** 401 and 403 are no verdict on the run: keys rotate, and an auth layer can be down for hours. */
export function isUnauthorized(answer: Answer): boolean {
  return answer.kind === "status" && (answer.status === 401 || answer.status === 403);
}

type Skipped = Extract<Evidence, { kind: "not-asked" }>;

/** The evidence in an answer other than the expected one. */
export function cannotTell(call: CallName, answer: HttpAnswer): CannotTell;
export function cannotTell(call: CallName, answer: Answer): CannotTell | Skipped;
export function cannotTell(call: CallName, answer: Answer): CannotTell | Skipped {
  switch (answer.kind) {
    case "not-asked":
      return { kind: answer.kind, reason: answer.reason };
    case "unreachable":
    case "malformed":
      return answer;
    case "status":
    case "json":
      return statusFailure(call, answer);
  }
}

/** Transient statuses and rejected credentials are `unreachable`; whatever else is not an answer is `malformed`. */
function statusFailure(call: CallName, answer: Exclude<HttpAnswer, CannotTell>): CannotTell {
  const { status } = answer;
  const kind = kindOfStatus(status);
  const failure = { ...failureOf(call, kind, `returned HTTP ${status}`), statusCode: status };
  if (kind === "unknown" && !isUnauthorized(answer)) return { kind: "malformed", failure };
  const retryAfterMs = answer.kind === "status" ? answer.retryAfterMs : null;
  return { kind: "unreachable", failure: { ...failure, retryAfterMs } };
}

function kindOfStatus(status: number): Failure["kind"] {
  if (status === 408) return "timeout";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "server_error" : "unknown";
}

export function timedOut(call: CallName, missing: string, withinMs: number): CannotTell {
  const message = `timed out: no ${missing} within ${withinMs} ms`;
  return { kind: "unreachable", failure: failureOf(call, "timeout", message) };
}

/** `code` is the error's code (`ECONNREFUSED`), the only part of a network error without addresses in it. */
export function transportFailed(call: CallName, code: string): CannotTell {
  return { kind: "unreachable", failure: failureOf(call, "transport", `transport error: ${code}`) };
}

/** Codes and names are fixed words of Node's, OpenSSL's and undici's; an error's message can carry an address. */
export function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return /^\w{1,60}$/.test(code) ? code : "unknown";
}

/** `what` goes on after source and operation: `answered with something that is not JSON`. */
export function malformed(call: CallName, what: string): CannotTell {
  return { kind: "malformed", failure: failureOf(call, "unknown", what) };
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

/** Whether the API did what a DELETE or a pause asks of it, found there or not. */
export function isCleanupAnswer(answer: Answer): boolean {
  return answer.kind === "status" && (answer.status < 300 || answer.status === 404);
}

/** What the answer to a DELETE says. 404 is no success: app servers also answer it when their own deletion broke off. */
export function readCleanup(call: CallName, answer: Answer): CleanupResult {
  if (answer.kind === "not-asked") return answer;
  if (answer.kind === "status" && answer.status < 300) return { kind: "deleted" };
  const told = cannotTell(call, answer);
  if (!isCleanupAnswer(answer)) return cleanupFailed(told);
  return { kind: "absent", failure: told.failure.message };
}

export function cleanupFailed({ failure }: CannotTell): Extract<CleanupResult, { kind: "failed" }> {
  return { kind: "failed", failure: failure.message, retryAfterMs: failure.retryAfterMs };
}
