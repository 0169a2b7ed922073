import type { Evidence, Failure, RunSnapshot, Verdict, VerdictPolicy } from "./model.ts";
import { clean } from "./text.ts";
import {
  exitError,
  failureDetailJson,
  killedError,
  type Output,
  PRESUMED_PREFIX,
  presumedError,
  type StatusDetail,
  statedError,
  statusDetailJson,
} from "./wording.ts";

/**
 * What to do about a run that is past its deadline. Pure: the same row, evidence, policy and horizon always give the
 * same verdict.
 *
 * @param horizonMs the database's time at the start of the sweep, Unix milliseconds. A run meets its hard deadline when
 *   the horizon does; time that passed during the sweep counts in the next one.
 */
export function judge(
  run: RunSnapshot,
  evidence: Evidence,
  policy: VerdictPolicy,
  horizonMs: number,
): Verdict {
  const atHardDeadline = horizonMs >= hardDeadline(run, policy);
  const defer = (reason: string): Verdict => ({ kind: "defer", reason });

  switch (evidence.kind) {
    case "exited":
      return exited(run, evidence.exitCode, evidence);
    case "failed":
      return stated(run, evidence.detail, evidence);
    case "running":
      return atHardDeadline ? presume(run, stillRunning(evidence.output)) : defer("running");
    case "starting":
      return atHardDeadline ? presume(run, UNAVAILABLE) : defer("starting");
    case "no-command":
      return atHardDeadline ? presume(run, NO_COMMAND) : defer("no bash_command_id");
    case "gone":
      return presume(run, goneBecause(evidence));
    case "unreachable":
    case "malformed":
      return atHardDeadline && isUnverifiable(run, policy, horizonMs)
        ? giveUp(run, evidence.failure)
        : undetermined(run, evidence.failure);
    case "not-asked":
      return { kind: "skip", reason: evidence.reason };
  }
}

/**
 * When waiting for a sign of life ends: the start plus everything the host allows a run, as its own watchdog counts it.
 * Unix milliseconds.
 */
export function hardDeadline(run: RunSnapshot, policy: VerdictPolicy): number {
  const ownMs = run.timeoutS === null ? policy.defaultRunMs : run.timeoutS * 1000;
  const effectiveMs = Math.min(ownMs, policy.maxRunMs);
  return run.beganAtMs + policy.readyTimeoutMs + effectiveMs + policy.hardGraceMs;
}

/** All answers were inconclusive for so long. */
function isUnverifiable(run: RunSnapshot, policy: VerdictPolicy, horizonMs: number): boolean {
  const sinceMs = run.suspicion?.unknownSinceMs ?? null;
  return sinceMs !== null && horizonMs - sinceMs >= policy.unverifiableAfterMs;
}

function exited(run: RunSnapshot, exitCode: number, output: Output): Verdict {
  if (exitCode === 0) return { kind: "complete", basis: "proof", reason: "exit_code=0" };
  if (exitCode === -1) {
    const errorDetail = killedError(output);
    return fail(run, "proof", "exit_code=-1", errorDetail, {
      ...AGENT_SERVER_SAID,
      kind: "timeout",
      detail: errorDetail.slice(PRESUMED_PREFIX.length),
      code: "-1",
      extras: { formatted_detail: errorDetail },
    });
  }
  const errorDetail = exitError(exitCode, output);
  return fail(run, "proof", `exit_code=${exitCode}`, errorDetail, {
    ...AGENT_SERVER_SAID,
    kind: "execution_error",
    detail: errorDetail,
    code: String(exitCode),
  });
}

function stated(run: RunSnapshot, detail: string, output: Output): Verdict {
  const errorDetail = statedError(detail, output);
  return fail(run, "proof", "failed", errorDetail, {
    ...AGENT_SERVER_SAID,
    kind: "execution_error",
    detail: errorDetail,
  });
}

type FailVerdict = Extract<Verdict, { kind: "fail" }>;

/** A conclusion without proof: what it says to users, to the journal and to the host. */
interface Presumption {
  readonly reason: string;
  readonly detail: string;
  readonly kind: "timeout" | "environment_unavailable";
  readonly outcome: string;
}

function stillRunning(output: "none" | "partial"): Presumption {
  const detail = output === "none" ? "No bash output found" : "Command still running";
  return { reason: "still running", detail, kind: "timeout", outcome: "still_running" };
}

const UNAVAILABLE: Presumption = {
  reason: "starting",
  detail: "Sandbox not available",
  kind: "environment_unavailable",
  outcome: "environment_unavailable",
};

const NO_COMMAND: Presumption = {
  reason: "no bash_command_id",
  detail: "No bash_command_id available for verification",
  kind: "timeout",
  outcome: "verification_error",
};

const UNVERIFIABLE = {
  reason: "could not be verified",
  kind: "timeout",
  outcome: "verification_error",
} as const;

function goneBecause(evidence: Extract<Evidence, { kind: "gone" }>): Presumption {
  const { reason } = evidence;
  switch (reason) {
    case "no-sandbox-id":
      return { ...UNAVAILABLE, reason, detail: "No sandbox_id available for verification" };
    case "command-unknown":
      return {
        ...UNAVAILABLE,
        reason: "command unknown",
        detail: "The agent server does not know the command",
      };
    case "server-restarted":
      return {
        ...UNAVAILABLE,
        reason: "agent server restarted",
        detail: "The agent server restarted after the command began",
      };
    case "lost": {
      const detail = clean(evidence.detail) === "" ? "Run was lost" : evidence.detail;
      return { ...UNAVAILABLE, reason, detail };
    }
    default:
      return { ...UNAVAILABLE, reason: `sandbox ${reason}` };
  }
}

/** The time without an answer is the confirmation. */
function giveUp(run: RunSnapshot, failure: Failure): Verdict {
  const detail = `could not be verified: ${failure.message}`;
  return { ...presume(run, { ...UNVERIFIABLE, detail }), needsConfirmation: false };
}

function presume(run: RunSnapshot, presumption: Presumption): FailVerdict {
  const errorDetail = presumedError(presumption.detail);
  return fail(run, "presumption", presumption.reason, errorDetail, {
    phase: "verification",
    kind: presumption.kind,
    detail: errorDetail.slice(PRESUMED_PREFIX.length),
    transient: false,
    source: "automation_service",
    operation: "verify_run",
    extras: { verification_outcome: presumption.outcome },
  });
}

const AGENT_SERVER_SAID = {
  phase: "execution",
  transient: false,
  source: "agent_server",
  operation: "verify_run",
} as const;

function fail(
  run: RunSnapshot,
  basis: "proof" | "presumption",
  reason: string,
  errorDetail: string,
  entry: StatusDetail,
): FailVerdict {
  const statusDetail = statusDetailJson(entry, run.statusDetail, run.readAt);
  const needsConfirmation = basis === "presumption";
  return { kind: "fail", basis, reason, errorDetail, statusDetail, needsConfirmation };
}

function undetermined(run: RunSnapshot, failure: Failure): Verdict {
  return {
    kind: "undetermined",
    reason: failure.message,
    statusDetail: failureDetailJson(failure, run.statusDetail, run.readAt),
  };
}
