import type { Evidence } from "./model.ts";

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
