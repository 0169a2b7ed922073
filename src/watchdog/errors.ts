import type { SweepEnd } from "../rules/exit-code.ts";
import { LeaseLostError } from "./lead/lease-term.ts";
import { StoreSchemaError, StoreUnavailableError } from "./ports.ts";
import { StopRequestedError } from "./stop.ts";
import { FencedError } from "./sweep/resolve-write.ts";

/** Whether an error concerns the whole sweep; any other one concerns what was being done, and the rest goes on. */
export function endsTheSweep(error: unknown): boolean {
  return (
    error instanceof LeaseLostError ||
    error instanceof FencedError ||
    error instanceof StoreUnavailableError ||
    error instanceof StoreSchemaError
  );
}

/** How a sweep ended that threw: because it was asked to stop, or because it could not go on. */
export function endOf(stop: AbortSignal): SweepEnd {
  if (!stop.aborted) return { kind: "failed" };
  const { reason } = stop;
  // A host that embeds the worker aborts for reasons of its own, and means the same.
  const signal = reason instanceof StopRequestedError ? reason.signal : "SIGTERM";
  return { kind: "interrupted", signal };
}
