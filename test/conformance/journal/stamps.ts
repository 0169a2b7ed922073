import { expect, it } from "vitest";
import type { JournalStand, RunChanges } from "../../support/stands/journal-stand.ts";
import {
  CLAIM_S,
  claimed,
  DEFERRED,
  expectDone,
  expectFailed,
  HOUR_MS,
  LATER,
  MINUTE_MS,
} from "../../support/stands/journal-steps.ts";

/** What every journal promises about the host's stamp on a run of ours. */
export function describeStamps(open: () => Promise<JournalStand>): void {
  it("moves it to the end of the claim, behind the next attempt, and takes it away at the end", async () => {
    await using stand = await open();
    const runId = await stand.verdict(DEFERRED);
    await stand.pass(HOUR_MS);
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    expect(await stand.stampInS(runId)).toBe(CLAIM_S);
    await expectFailed(stand, task?.id, "pending");
    expect(await stand.entry(runId)).toMatchObject({ dueInS: 60 });
    expect(await stand.stampInS(runId)).toBe(60 + CLAIM_S);
    await stand.pass(MINUTE_MS);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
    expect(await stand.stampInS(runId)).toBe(CLAIM_S);
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    expect(await stand.stampInS(runId)).toBeNull();
  });

  it("marks as done what somebody else took away, before the pause, before the deletion and after an attempt", async () => {
    await using stand = await open();
    const early = await stand.verdict(DEFERRED);
    await stand.changeRun(early, { stampInMs: null });
    await expectDone(stand, early);
    const due = await stand.verdict(DEFERRED);
    await claimed(stand);
    await stand.pass(HOUR_MS);
    await stand.changeRun(due, { stampInMs: null });
    await expectDone(stand, due);
    const tried = await stand.verdict({ dueInMs: 0, deletionInMs: 0 });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.changeRun(tried, { stampInMs: null });
    await expectFailed(stand, task?.id, "pending");
    expect(await stand.stampInS(tried)).toBeNull();
    await stand.pass(MINUTE_MS);
    await expectDone(stand, tried);
  });

  it("leaves to the host what the host has stamped anew", async () => {
    await using stand = await open();
    const runId = await stand.verdict(DEFERRED);
    await stand.changeRun(runId, { stampInMs: 2 * HOUR_MS });
    await stand.pass(HOUR_MS);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "none", attempts: 0 });
    expect(await stand.stampInS(runId)).toBe(3600);
  });

  it("finds what is due behind full pages of what is done", async () => {
    await using stand = await open();
    for (let index = 0; index < 3; index += 1) {
      await stand.changeRun(await stand.verdict(DEFERRED), { stampInMs: null });
    }
    const runId = await stand.verdict();
    expect(await claimed(stand, 2)).toEqual([["delete", runId]]);
  });

  it("deletes for a proof whose run is gone, and its stamp with it", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ deletionInMs: 0 });
    await stand.removeRun(runId);
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    expect(task).toMatchObject({ runId, attempts: 1 });
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "done" });
  });

  const spared: readonly (readonly [string, RunChanges])[] = [
    ["was overturned by a callback", { status: "COMPLETED", errorDetail: null }],
    ["has another sandbox", { sandboxId: "other" }],
  ];
  for (const [what, changes] of spared) {
    it(`takes it away when a presumption is spared whose run ${what}`, async () => {
      await using stand = await open();
      const runId = await stand.verdict(LATER);
      await stand.changeRun(runId, changes);
      await stand.pass(5 * MINUTE_MS);
      expect(await claimed(stand)).toEqual([]);
      expect(await stand.entry(runId)).toMatchObject({ state: "none" });
      expect(await stand.stampInS(runId)).toBeNull();
    });
  }

  it("leaves alone the one that a callback has set when it overturned a presumption", async () => {
    await using stand = await open();
    const runId = await stand.verdict(LATER);
    await stand.changeRun(runId, {
      status: "COMPLETED",
      errorDetail: null,
      stampInMs: 2 * HOUR_MS,
    });
    await stand.pass(HOUR_MS);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.stampInS(runId)).toBe(3600);
  });

  it("takes those of all verdicts on the sandbox away with the deletion, and no other's", async () => {
    await using stand = await open();
    const first = await stand.verdict({ deletionInMs: 0, sandboxId: "s" });
    const second = await stand.verdict({ deletionInMs: 0, sandboxId: "s" });
    const other = await stand.verdict({ ...DEFERRED, sandboxId: "t" });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    for (const runId of [first, second]) expect(await stand.stampInS(runId)).toBeNull();
    expect(await stand.stampInS(other)).toBe(3600);
  });

  it("does not claim while somebody is writing the row, and looks again when a claim would have run out", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ deletionInMs: 0 });
    await stand.whileLocked(runId, async () => expect(await claimed(stand)).toEqual([]));
    expect(await stand.entry(runId)).toMatchObject({
      state: "pending",
      attempts: 0,
      dueInS: CLAIM_S,
    });
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
  });

  it("marks the deletion as done although somebody is writing the row, and takes it away later", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ deletionInMs: 0 });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.whileLocked(runId, () =>
      stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence),
    );
    expect(await stand.entry(runId)).toMatchObject({ state: "done" });
    expect(await stand.stampInS(runId)).toBe(CLAIM_S);
    await stand.pass(10 * MINUTE_MS);
    expect(await stand.journal.adoptOverdueStamps(10, stand.fence)).toBe(0);
    expect(await stand.stampInS(runId)).toBeNull();
    expect(await stand.bases(runId)).toEqual(["proof"]);
  });

  it("writes none under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ deletionInMs: 0 });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.takeOver();
    await expectFailed(stand, task?.id, "pending");
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.stampInS(runId)).toBe(0);
  });

  it("stamps a sandbox that was named late, which is paused and deleted like any other", async () => {
    await using stand = await open();
    const unnamed = { basis: "presumption", sandboxId: null, cleanupState: "none" } as const;
    const runId = await stand.verdict(unnamed);
    await stand.changeRun(runId, { sandboxId: "late" });
    const plan = { cleanupInMs: 5 * MINUTE_MS, deletionInMs: HOUR_MS };
    expect(await stand.journal.adoptLateSandboxes(plan, stand.fence)).toBe(1);
    expect(await stand.stampInS(runId)).toBe(3600);
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([["pause", runId]]);
    await stand.pass(55 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
  });
}
