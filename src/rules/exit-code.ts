import type { Pause } from "./fleet/pause.ts";
import type { SweepStatus, Waiting } from "./report.ts";

/** How a sweep came to its end, besides what happened to its runs. */
export type SweepEnd =
  | { readonly kind: "finished" }
  /** Lease, epoch or database lost on the way, or an unexpected error. */
  | { readonly kind: "failed" }
  | { readonly kind: "interrupted"; readonly signal: "SIGTERM" | "SIGINT" }
  | { readonly kind: "lease-held" }
  /** A person paused all workers, before the sweep or on its way. */
  | { readonly kind: "paused"; readonly pause: Pause }
  | { readonly kind: "unavailable" };

/**
 * Exit code and status of a one-shot: the first that holds. Wrong usage (2) never gets this far.
 *
 * @param waiting what keeps runs from being judged, in this sweep and since earlier ones: asking again at once, when
 *   none of them is due, is no all-clear.
 * @param unserved how many of the skipped runs needed something: the shared API was blocked, or they were named and
 *   are not there.
 */
export function resultOf(
  end: SweepEnd,
  { held, unanswered, failing }: Pick<Waiting, "held" | "unanswered" | "failing">,
  unserved: number,
): { readonly status: SweepStatus; readonly exitCode: number } {
  switch (end.kind) {
    case "unavailable":
      return { status: "unavailable", exitCode: 69 };
    case "lease-held":
      return { status: "lease-held", exitCode: 75 };
    case "paused":
      return { status: "paused", exitCode: 75 };
    case "interrupted":
      return { status: "interrupted", exitCode: end.signal === "SIGTERM" ? 143 : 130 };
    case "failed":
      return { status: "error", exitCode: 1 };
    case "finished":
      if (held > 0) return { status: "held", exitCode: 4 };
      if (unserved + unanswered + failing > 0) return { status: "partial", exitCode: 3 };
      return { status: "ok", exitCode: 0 };
  }
}

/** The exit code of a command whose result could not be written. */
export function exitCodeUntold(exitCode: number): number {
  return exitCode === 0 || exitCode === 3 || exitCode === 4 ? 1 : exitCode;
}
