/** Why a command did not get as far as its own result. Version 1 of the JSON document, in its order of keys. */
export interface ProblemReport {
  readonly version: 1;
  /** `unusable`: arguments, configuration or schema (exit code 2). `unknown-run`: no such run (3). `unavailable`: a store (69). */
  readonly status: "unusable" | "unknown-run" | "unavailable" | "error";
  readonly exitCode: number;
  /** One line each, never a secret. */
  readonly problems: readonly string[];
}

export function problemReport(exitCode: number, problems: readonly string[]): ProblemReport {
  return { version: 1, status: statusOf(exitCode), exitCode, problems };
}

function statusOf(exitCode: number): ProblemReport["status"] {
  switch (exitCode) {
    case 2:
      return "unusable";
    case 3:
      return "unknown-run";
    case 69:
      return "unavailable";
    default:
      return "error";
  }
}
