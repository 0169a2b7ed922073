import type { SweepCounts, SweepStatus } from "./report.ts";

/** How a sweep came to its end, besides what happened to its runs. */
export type SweepEnd =
  | { readonly kind: "finished" }
  /** Lease, epoch or database lost on the way, or an unexpected error. */
  | { readonly kind: "failed" }
  | { readonly kind: "interrupted"; readonly signal: "SIGTERM" | "SIGINT" }
  | { readonly kind: "lease-held" }
  | { readonly kind: "unavailable" };

/**
 * Exit code and status of a one-shot: the first that holds. Wrong usage (2) never gets this far.
 *
 * @param blocked how many of the skipped runs were skipped because the shared API was blocked.
 */
export function resultOf(
  end: SweepEnd,
  counts: SweepCounts,
  blocked: number,
): { readonly status: SweepStatus; readonly exitCode: number } {
  switch (end.kind) {
    case "unavailable":
      return { status: "unavailable", exitCode: 69 };
    case "lease-held":
      return { status: "lease-held", exitCode: 75 };
    case "interrupted":
      return { status: "interrupted", exitCode: end.signal === "SIGTERM" ? 143 : 130 };
    case "failed":
      return { status: "error", exitCode: 1 };
    case "finished":
      if (counts.held > 0) return { status: "held", exitCode: 4 };
      if (blocked > 0 || isPartial(counts)) return { status: "partial", exitCode: 3 };
      return { status: "ok", exitCode: 0 };
  }
}

/** The exit code of a command whose result could not be written. */
export function exitCodeUntold(exitCode: number): number {
  return exitCode === 0 || exitCode === 3 || exitCode === 4 ? 1 : exitCode;
}

/** Something could not be done, or no run got an answer: a 0 would hide that the backend is away. */
function isPartial(counts: SweepCounts): boolean {
  if (counts.errors > 0) return true;
  const answered = counts.completed + counts.failed + counts.deferred + counts.suspected;
  return counts.undetermined > 0 && answered === 0;
}
