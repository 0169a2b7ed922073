import { expect, it } from "vitest";
import { ALL_VERDICTS, type VerdictQuery } from "../../../src/watchdog/journal-ports.ts";
import type { JournalStand, RunChanges } from "../../support/stands/journal-stand.ts";
import { adopt, HOUR_MS, MINUTE_MS } from "../../support/stands/journal-steps.ts";

const ALL: VerdictQuery = { ...ALL_VERDICTS, limit: 10 };

/** What every reader of a journal promises about verdicts. */
export function describeHistory(open: () => Promise<JournalStand>): void {
  it("lists verdicts newest first, also those of one moment, and no more than asked for", async () => {
    await using stand = await open();
    const first = await stand.verdict();
    await stand.pass(MINUTE_MS);
    const second = await stand.verdict();
    const third = await stand.verdict();
    expect(await found(stand)).toEqual([third, second, first]);
    expect(await found(stand, { limit: 2 })).toEqual([third, second]);
  });

  it("leaves out sandboxes that were taken over from the host", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    expect(await adopt(stand)).toBe(1);
    expect(await found(stand)).toEqual([]);
    expect(await found(stand, { runId })).toEqual([]);
  });

  it("tells the verdicts on one run from others", async () => {
    await using stand = await open();
    const runId = await stand.verdict();
    await stand.verdict();
    expect(await found(stand, { runId })).toEqual([runId]);
    expect(await found(stand, { runId: crypto.randomUUID() })).toEqual([]);
  });

  it("goes back as far as asked, and half a minute no further", async () => {
    await using stand = await open();
    const runId = await stand.verdict();
    await stand.pass(HOUR_MS);
    expect(await found(stand, { sinceMs: HOUR_MS + 30_000 })).toEqual([runId]);
    expect(await found(stand, { sinceMs: HOUR_MS - 30_000 })).toEqual([]);
  });

  it("tells proofs from presumptions, and runs that failed from those that completed", async () => {
    await using stand = await open();
    const completed = await stand.verdict({ outcome: "COMPLETED" });
    const failed = await stand.verdict();
    const presumed = await stand.verdict({ basis: "presumption" });
    expect(await found(stand, { basis: "proof" })).toEqual([failed, completed]);
    expect(await found(stand, { basis: "presumption" })).toEqual([presumed]);
    expect(await found(stand, { outcome: "COMPLETED" })).toEqual([completed]);
    expect(await found(stand, { outcome: "FAILED" })).toEqual([presumed, failed]);
    expect(await found(stand, { outcome: "FAILED", basis: "proof" })).toEqual([failed]);
  });

  const overturned: readonly (readonly [string, RunChanges])[] = [
    ["completed by a callback", { status: "COMPLETED", errorDetail: null }],
    ["cancelled", { status: "CANCELLED" }],
    ["failed for a reason of its own", { errorDetail: "exit_code=1" }],
    ["failed without a reason", { errorDetail: null }],
  ];
  for (const [what, changes] of overturned) {
    it(`calls a presumption overturned whose run is ${what}`, async () => {
      await using stand = await open();
      const runId = await stand.verdict({ basis: "presumption" });
      await stand.verdict({ basis: "presumption" });
      await stand.changeRun(runId, changes);
      const [verdict] = await stand.reader.verdicts({ ...ALL, runId });
      const statusNow = changes.status ?? "FAILED";
      expect(verdict).toMatchObject({ overturned: true, overturnedAt: null, statusNow });
      expect(await found(stand, { overturned: true })).toEqual([runId]);
    });
  }

  it("calls nothing overturned that stands, is RUNNING again, rests on proof, or whose run is gone", async () => {
    await using stand = await open();
    await stand.verdict({ basis: "presumption" });
    const again = await stand.verdict({ basis: "presumption" });
    await stand.changeRun(again, { status: "RUNNING" });
    const proven = await stand.verdict();
    await stand.changeRun(proven, { status: "COMPLETED", errorDetail: null });
    const gone = await stand.verdict({ basis: "presumption" });
    await stand.removeRun(gone);
    expect(await found(stand, { overturned: true })).toEqual([]);
    const [verdict] = await stand.reader.verdicts({ ...ALL, runId: gone });
    expect(verdict).toMatchObject({ overturned: false, statusNow: null });
  });

  it("says what became of the sandbox", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ attempts: 2 });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.journal.cleanupFailed(task?.id ?? 0, "HTTP 503", MINUTE_MS, stand.fence);
    const [verdict] = await stand.reader.verdicts({ ...ALL, runId });
    const nextAt = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/);
    const cleanup = { state: "pending", attempts: 3, error: "HTTP 503", nextAt };
    expect(verdict).toMatchObject({ runId, suspicion: null, cleanup });
  });
}

async function found(stand: JournalStand, query: Partial<VerdictQuery> = {}) {
  const verdicts = await stand.reader.verdicts({ ...ALL, ...query });
  return verdicts.map(({ runId }) => runId);
}
