/** The host's completion callbacks: a steady stream about runs that are alive, and one about each stale run. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import { completeRun } from "../../fake-host/callback.ts";

export interface Callbacks {
  readonly alive: readonly string[];
  readonly stale: readonly { readonly runId: string; readonly afterMs: number }[];
}

export interface CallbackWaits {
  /** Milliseconds, of all of them. */
  readonly all: readonly number[];
  readonly stale: readonly number[];
}

const EVERY_MS = 10;

/** Sends them until `signal` aborts; those about stale runs come all. */
export async function sendCallbacks(
  sql: Sql,
  { alive, stale }: Callbacks,
  signal: AbortSignal,
): Promise<CallbackWaits> {
  const startedMs = performance.now();
  const ofStale = stale.map(async ({ runId, afterMs }) => {
    await sleep(afterMs);
    return complete(sql, runId);
  });
  const ofAlive: Promise<number>[] = [];
  for (const [index, runId] of alive.entries()) {
    // By the clock: one that waits must not delay those behind it.
    const waitMs = startedMs + index * EVERY_MS - performance.now();
    await sleep(Math.max(0, waitMs), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
    ofAlive.push(complete(sql, runId));
  }
  const waits = await Promise.all(ofStale);
  return { all: [...(await Promise.all(ofAlive)), ...waits], stale: waits };
}

async function complete(sql: Sql, runId: string): Promise<number> {
  const sentMs = performance.now();
  await completeRun(sql, { runId, status: "COMPLETED" });
  return performance.now() - sentMs;
}
