/** What the conformance tests of journals do over and over. */
import { expect } from "vitest";
import type { JournalStand } from "./journal-stand.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
/** How long a claim lasts, in seconds. */
export const CLAIM_S = 300;

/** A proof whose deletion is deferred, and a presumption whose sandbox is spared before. */
export const DEFERRED = { deletionInMs: HOUR_MS } as const;
export const LATER = {
  basis: "presumption",
  dueInMs: 5 * MINUTE_MS,
  deletionInMs: HOUR_MS,
} as const;

/** What is to be done now, and for which runs. */
export async function claimed({ journal, fence }: JournalStand, limit = 10) {
  const tasks = await journal.claimCleanups(fence, limit);
  return tasks.map(({ runId, pauseWithinMs }) => [
    pauseWithinMs === null ? "delete" : "pause",
    runId,
  ]);
}

export function adopt({ journal, fence }: JournalStand, limit = 10): Promise<number> {
  return journal.adoptOverdueStamps(limit, fence);
}

export async function expectFailed(
  { journal, fence }: JournalStand,
  id: number | undefined,
  state: "pending" | "abandoned",
): Promise<void> {
  expect(await journal.cleanupFailed(id ?? 0, "HTTP 503", MINUTE_MS, fence)).toBe(state);
}

export async function expectDone(stand: JournalStand, runId: string): Promise<void> {
  expect(await claimed(stand)).toEqual([]);
  expect(await stand.entry(runId)).toMatchObject({
    state: "done",
    error: "the host took it over",
    dueInS: null,
  });
}
