/** Questions to a backend that somebody else wrote, counted like the calls of ours. How it gets its answers is unknown. */
import type { Evidence } from "../../rules/model.ts";
import type { CleanupResult, Clock, PauseResult } from "../../watchdog/ports.ts";
import type { CallName } from "../http/call.ts";
import { type CallResult, type OnCall, resultOfFailure } from "../http/observed.ts";

interface Counting {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly onCall?: OnCall | undefined;
}

/**
 * Asks, and tells `onCall` what came of it: not of a question that was given up.
 *
 * @param resultOf `null` when nothing was asked.
 */
export async function counted<T>(
  { source, operation }: CallName,
  { clock, onCall }: Counting,
  signal: AbortSignal,
  resultOf: (answer: T) => CallResult | null,
  ask: () => Promise<T>,
): Promise<T> {
  const askedMs = clock.monotonicMs();
  const tell = (result: CallResult | null) => {
    if (result === null) return;
    onCall?.({ source, operation, result, durationMs: clock.monotonicMs() - askedMs });
  };
  try {
    const answer = await ask();
    tell(resultOf(answer));
    return answer;
  } catch (error) {
    if (!signal.aborted) tell("failed");
    throw error;
  }
}

export function resultOfEvidence(evidence: Evidence): CallResult | null {
  if (evidence.kind === "not-asked") return null;
  return "failure" in evidence ? resultOfFailure(evidence.failure) : "ok";
}

export function resultOfCleanup({ kind }: CleanupResult | PauseResult): CallResult | null {
  switch (kind) {
    case "not-asked":
      return null;
    case "absent":
      return "not_found";
    case "failed":
      return "failed";
    default:
      return "ok";
  }
}
