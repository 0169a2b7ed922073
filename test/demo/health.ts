/** What a watchdog says about itself. */
import type { Watchdog } from "./fleet.ts";

const HEALTH_WITHIN_MS = 5000;

export interface Health {
  readonly status: string;
  readonly role: string;
  readonly reasons: readonly string[];
}

/** @throws signal.reason when it has aborted; a watchdog that does not answer says so in its status. */
export async function healthOf({ healthUrl }: Watchdog, signal: AbortSignal): Promise<Health> {
  signal.throwIfAborted();
  try {
    const patience = AbortSignal.timeout(HEALTH_WITHIN_MS);
    const response = await fetch(`${healthUrl}/health`, { signal: patience });
    // Our own program's answer.
    return (await response.json()) as Health;
  } catch {
    return { status: "does not answer", role: "", reasons: [] };
  }
}
