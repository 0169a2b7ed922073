import type { SweepEnd } from "../rules/exit-code.ts";
import { StopRequestedError } from "./stop.ts";

/** How a sweep ended that threw: because the process was asked to stop, or because it could not go on. */
export function endOf(stop: AbortSignal): SweepEnd {
  const { reason } = stop;
  if (stop.aborted && reason instanceof StopRequestedError) {
    return { kind: "interrupted", signal: reason.signal };
  }
  return { kind: "failed" };
}
