import { leaseContendInMs } from "../../rules/timing.ts";
import type { Random } from "../ports.ts";
import type { Contest } from "./contest.ts";
import type { Ticks } from "./ticks.ts";

export interface ContendDeps {
  readonly ticks: Ticks;
  readonly random: Random;
  /** A sweep has begun, or an attempt has ended. Must not throw. */
  readonly onLeads?: () => void;
}

/**
 * Contends for the lease until it swept, somebody else did, or the next tick begins a new attempt. Never rejects.
 *
 * @param waitMs before the first attempt.
 */
export async function contend(
  contest: Contest,
  { ticks, random, onLeads = () => {} }: ContendDeps,
  signal: AbortSignal,
  waitMs = 0,
): Promise<"attempted" | "waited"> {
  if (waitMs > 0 && (await ticks.until(waitMs, signal))) return "waited";
  let freeRefusals = 0;
  while (!signal.aborted) {
    const result = await contest.attempt(signal, onLeads);
    onLeads();
    if (result?.kind !== "lease-held") break;
    const { expiresInMs } = result;
    freeRefusals = expiresInMs === 0 ? freeRefusals + 1 : 0;
    const againMs = leaseContendInMs(expiresInMs, random.fraction(), freeRefusals);
    if (await ticks.until(againMs, signal)) return "waited";
    if (againMs === null) return "waited";
  }
  return "attempted";
}
