/** What each kind of evidence is worth beyond its verdict: to the guard, and to the journal. */
import type { Evidence } from "./model.ts";

/** The backend answered for itself: everything but "cannot tell" and "was not asked". */
export function isAuthoritative(evidence: Evidence): boolean {
  return weightOf(evidence) !== "none";
}

/** An exit code, a running command or a RUNNING sandbox: a backend that lost everything could not say so. */
export function provesLife(evidence: Evidence): boolean {
  return weightOf(evidence) === "life";
}

function weightOf(evidence: Evidence): "life" | "answer" | "none" {
  switch (evidence.kind) {
    case "exited":
    case "failed":
    case "running":
      return "life";
    case "no-command":
      return evidence.sandbox === "running" ? "life" : "none";
    case "gone":
      if (evidence.reason === "no-sandbox-id") return "none";
      return RUNNING_SANDBOX.has(evidence.reason) ? "life" : "answer";
    case "starting":
      return "answer";
    case "unreachable":
    case "malformed":
    case "not-asked":
      return "none";
  }
}

const RUNNING_SANDBOX = new Set<string>(["command-unknown", "server-restarted"]);

/** What the journal keeps of the evidence: codes, statuses and sizes. A tenant's text stays in the host's table. */
export function summarise(evidence: Evidence): Readonly<Record<string, unknown>> {
  switch (evidence.kind) {
    case "exited":
      return {
        kind: evidence.kind,
        exit_code: evidence.exitCode,
        stdout_chars: evidence.stdout.length,
        stderr_chars: evidence.stderr.length,
      };
    case "failed":
      return { kind: evidence.kind, detail_chars: evidence.detail.length };
    case "running":
      return { kind: evidence.kind, output: evidence.output };
    case "gone":
      return { kind: evidence.kind, reason: evidence.reason };
    case "unreachable":
    case "malformed": {
      const { source, operation, kind, statusCode } = evidence.failure;
      return { kind: evidence.kind, source, operation, problem: kind, status_code: statusCode };
    }
    case "starting":
    case "no-command":
    case "not-asked":
      return { kind: evidence.kind };
  }
}
