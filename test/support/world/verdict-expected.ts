/** What a run looks like after its verdict, to the letter; spelled out here, not taken from the code under test. */

/** In the place of a time within the sweep. */
export const AT = "<time of the sweep>";

export interface Expected {
  readonly action: string;
  readonly basis: string | null;
  readonly reason: string;
  readonly status: string;
  readonly errorDetail: string | null;
  /** The column as text, with `AT` for its times; `null` for SQL NULL. */
  readonly statusDetail: string | null;
  readonly timeoutAt: "kept" | "hidden, next look in 45 s" | "elsewhere";
  /** Every column but status_detail that differs from what was seeded. */
  readonly changed: string;
  /** Every question about this run, in its order. */
  readonly asked: string;
  /** What the journal says about it. */
  readonly journal: { readonly verdict: string; readonly cleanup: string } | null;
}

export function completed(asked = "mint lookup events delete"): Expected {
  return {
    action: "completed",
    basis: "proof",
    reason: "exit_code=0",
    status: "COMPLETED",
    errorDetail: null,
    statusDetail: "null",
    timeoutAt: "kept",
    changed: "completed_at status",
    asked,
    journal: { verdict: "COMPLETED, proof, exit_code=0", cleanup: cleanupAfter(asked) },
  };
}

/** An exit code other than 0 and -1. */
export function exited(
  code: number,
  errorDetail: string,
  asked = "mint lookup events delete",
): Expected {
  return failed("proof", `exit_code=${code}`, errorDetail, asked, cleanupAfter(asked), {
    phase: "execution",
    kind: "execution_error",
    detail: errorDetail,
    transient: false,
    fingerprint: "execution:agent_server:verify_run:execution_error",
    ...FIRST_SEEN,
    source: "agent_server",
    operation: "verify_run",
    code: String(code),
  });
}

/** @param text what follows the prefix. */
export function killed(text: string, asked = "mint lookup events delete"): Expected {
  return failed("proof", "exit_code=-1", `Timed out: ${text}`, asked, cleanupAfter(asked), {
    phase: "execution",
    kind: "timeout",
    detail: text,
    transient: false,
    fingerprint: "execution:agent_server:verify_run:timeout",
    ...FIRST_SEEN,
    source: "agent_server",
    operation: "verify_run",
    code: "-1",
    formatted_detail: `Timed out: ${text}`,
  });
}

/** A failure that a backend states without an exit code. */
export function stated(errorDetail: string, asked: string): Expected {
  return failed("proof", "failed", errorDetail, asked, cleanupAfter(asked), {
    phase: "execution",
    kind: "execution_error",
    detail: errorDetail,
    transient: false,
    fingerprint: "execution:agent_server:verify_run:execution_error",
    ...FIRST_SEEN,
    source: "agent_server",
    operation: "verify_run",
  });
}

export interface Presumed {
  readonly reason: string;
  /** Without the prefix. */
  readonly detail: string;
  readonly kind: "timeout" | "environment_unavailable";
  readonly outcome: "still_running" | "environment_unavailable" | "verification_error";
  readonly asked: string;
  /** Default: the sandbox is to be deleted later. */
  readonly cleanup?: string;
}

export function presumed(presumption: Presumed): Expected {
  const { reason, detail, kind, outcome, asked, cleanup = "pending" } = presumption;
  return failed("presumption", reason, `Timed out: ${detail}`, asked, cleanup, {
    phase: "verification",
    kind,
    detail,
    transient: false,
    fingerprint: `verification:automation_service:verify_run:${kind}`,
    ...FIRST_SEEN,
    source: "automation_service",
    operation: "verify_run",
    verification_outcome: outcome,
  });
}

export function unavailable(reason: string, asked: string): Expected {
  const detail = "Sandbox not available";
  const kind = "environment_unavailable";
  return presumed({ reason, detail, kind, outcome: kind, asked });
}

export function deferred(reason: string, asked: string): Expected {
  return stillRunning("deferred", reason, asked, "null");
}

export interface Unanswered {
  readonly source: string;
  readonly operation: string;
  readonly kind?: string;
  readonly status?: number;
  /** What follows source and operation; default: that the status was returned. */
  readonly what?: string;
}

export function undetermined(unanswered: Unanswered, asked: string): Expected {
  const { source, operation, kind = "unknown", status } = unanswered;
  const message = `${source} ${operation} ${unanswered.what ?? `returned HTTP ${status}`}`;
  const detail = {
    phase: "verification",
    kind,
    detail: message,
    transient: true,
    fingerprint: `${source}:${operation}:${kind}:${status ?? ""}`,
    ...FIRST_SEEN,
    source,
    operation,
    ...(status === undefined ? {} : { status_code: status }),
  };
  // Numbers that vary are left out, so that the same trouble always has the same words.
  const what = (unanswered.what ?? "")
    .replace(/ within .*/, "")
    .replace(/ more than \d+ /, " too many ");
  const cause = `${source} ${operation}: ${status === undefined ? what : `HTTP ${status}`}`;
  return stillRunning("undetermined", cause, asked, JSON.stringify(detail));
}

const FIRST_SEEN = { first_seen_at: AT, last_seen_at: AT, count: 1 } as const;

function failed(
  basis: "proof" | "presumption",
  reason: string,
  errorDetail: string,
  asked: string,
  cleanup: string,
  statusDetail: object,
): Expected {
  return {
    action: "failed",
    basis,
    reason,
    status: "FAILED",
    errorDetail,
    statusDetail: JSON.stringify(statusDetail),
    timeoutAt: "kept",
    changed: "completed_at error_detail status",
    asked,
    journal: { verdict: `FAILED, ${basis}, ${reason}`, cleanup },
  };
}

function stillRunning(
  action: "deferred" | "undetermined",
  reason: string,
  asked: string,
  statusDetail: string,
): Expected {
  return {
    action,
    basis: null,
    reason,
    status: "RUNNING",
    errorDetail: null,
    statusDetail,
    timeoutAt: "hidden, next look in 45 s",
    changed: "timeout_at",
    asked,
    journal: null,
  };
}

/** A proof's sandbox is gone when the sweep ends. */
function cleanupAfter(asked: string): string {
  return /(delete|cleanup)$/.test(asked) ? "done" : "none";
}
