import { expect, it } from "vitest";
import type { JournalStand, RunChanges, StampedSeed } from "../../support/stands/journal-stand.ts";
import {
  adopt,
  CLAIM_S,
  claimed,
  DAY_MS,
  DEFERRED,
  expectDone,
  expectFailed,
  HOUR_MS,
  MINUTE_MS,
} from "../../support/stands/journal-steps.ts";

/** What every journal promises about sandboxes of which only the host knows. */
export function describeOverdueStamps(open: () => Promise<JournalStand>): void {
  it("takes one over five minutes after it was due, and not half a minute before", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: 5 * MINUTE_MS - 30_000 });
    expect(await adopt(stand)).toBe(0);
    expect(await stand.bases(runId)).toEqual([]);
    await stand.pass(30_000);
    expect(await adopt(stand)).toBe(1);
    expect(await stand.stampInS(runId)).toBe(CLAIM_S);
    expect(await stand.bases(runId)).toEqual(["host"]);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
    expect(await stand.entry(runId)).toMatchObject({
      state: "pending",
      attempts: 1,
      dueInS: CLAIM_S,
    });
    expect(await stand.journal.pendingCleanups()).toBe(1);
  });

  it("takes one over once, and ends it like a deletion of its own", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    expect(await adopt(stand)).toBe(1);
    expect(await adopt(stand)).toBe(0);
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await expectFailed(stand, task?.id, "pending");
    expect(await adopt(stand)).toBe(0);
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    expect(await stand.stampInS(runId)).toBeNull();
    await stand.pass(DAY_MS);
    expect(await adopt(stand)).toBe(0);
    expect(await claimed(stand)).toEqual([]);
  });

  it("gives it up a day after it was taken over, and never takes it up again", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: 10 * DAY_MS });
    await adopt(stand);
    const [first] = await stand.journal.claimCleanups(stand.fence, 1);
    await expectFailed(stand, first?.id, "pending");
    await stand.pass(DAY_MS + MINUTE_MS);
    const [second] = await stand.journal.claimCleanups(stand.fence, 1);
    await expectFailed(stand, second?.id, "abandoned");
    expect(await stand.stampInS(runId)).toBeNull();
    await stand.pass(DAY_MS);
    expect(await adopt(stand)).toBe(0);
  });

  const others: readonly (readonly [string, Omit<StampedSeed, "overdueMs">])[] = [
    ["is RUNNING", { status: "RUNNING" }],
    ["is PENDING", { status: "PENDING" }],
    ["names no sandbox", { sandboxId: null }],
    ["names an empty one", { sandboxId: "" }],
  ];
  for (const [what, seed] of others) {
    it(`leaves a run alone that ${what}`, async () => {
      await using stand = await open();
      const runId = await stand.stamped({ overdueMs: HOUR_MS, ...seed });
      expect(await adopt(stand)).toBe(0);
      expect(await stand.stampInS(runId)).toBe(-3600);
    });
  }

  for (const status of ["COMPLETED", "FAILED", "CANCELLED", "SKIPPED"]) {
    it(`takes one over of a run that is ${status}`, async () => {
      await using stand = await open();
      await stand.stamped({ overdueMs: HOUR_MS, status });
      expect(await adopt(stand)).toBe(1);
    });
  }

  it("leaves one alone whose automation keeps its sandboxes, before and after taking it over", async () => {
    await using stand = await open();
    const before = await stand.stamped({ overdueMs: HOUR_MS });
    await stand.keepSandboxes(before);
    expect(await adopt(stand)).toBe(0);
    expect(await stand.stampInS(before)).toBe(-3600);
    const after = await stand.stamped({ overdueMs: HOUR_MS });
    expect(await adopt(stand)).toBe(1);
    await stand.keepSandboxes(after);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(after)).toMatchObject({ state: "none", attempts: 0 });
    expect(await stand.stampInS(after)).toBeNull();
  });

  it("postpones the deletion while a RUNNING run names the sandbox", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS, sandboxId: "shared" });
    const user = await stand.verdict({ cleanupState: "none" });
    await stand.changeRun(user, { status: "RUNNING", sandboxId: "shared" });
    expect(await adopt(stand)).toBe(1);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", attempts: 0 });
  });

  const changed: readonly (readonly [string, RunChanges])[] = [
    ["is RUNNING again", { status: "RUNNING" }],
    ["has another sandbox", { sandboxId: "other" }],
  ];
  for (const [what, changes] of changed) {
    it(`spares the sandbox when the run ${what} since it was taken over`, async () => {
      await using stand = await open();
      const runId = await stand.stamped({ overdueMs: HOUR_MS });
      expect(await adopt(stand)).toBe(1);
      await stand.changeRun(runId, changes);
      expect(await claimed(stand)).toEqual([]);
      expect(await stand.entry(runId)).toMatchObject({ state: "none", attempts: 0 });
    });
  }

  it("marks it as done when the host comes to it after all", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    expect(await adopt(stand)).toBe(1);
    await stand.changeRun(runId, { stampInMs: null });
    await expectDone(stand, runId);
  });

  it("leaves to its own verdict what is pending there", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ ...DEFERRED });
    await stand.pass(2 * HOUR_MS);
    expect(await adopt(stand)).toBe(0);
    expect(await stand.stampInS(runId)).toBe(-3600);
    await stand.changeRun(runId, { stampInMs: -2 * HOUR_MS });
    expect(await adopt(stand)).toBe(0);
    expect(await stand.bases(runId)).toEqual(["proof"]);
    expect(await claimed(stand)).toEqual([]);
    expect(await adopt(stand)).toBe(1);
    expect(await stand.bases(runId)).toEqual(["proof", "host"]);
  });

  it("takes away its own that was left behind, also where the sandbox is kept", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ deletionInMs: 0 });
    await stand.keepSandboxes(runId);
    await stand.whileLocked(runId, async () => expect(await claimed(stand)).toEqual([]));
    expect(await stand.entry(runId)).toMatchObject({ state: "none" });
    expect(await stand.stampInS(runId)).toBe(0);
    await stand.pass(5 * MINUTE_MS);
    expect(await adopt(stand)).toBe(0);
    expect(await stand.stampInS(runId)).toBeNull();
    expect(await stand.bases(runId)).toEqual(["proof"]);
  });

  it("takes the oldest over first, and no more than it is asked for", async () => {
    await using stand = await open();
    const runs: string[] = [];
    for (let hours = 1; hours <= 5; hours += 1) {
      runs.unshift(await stand.stamped({ overdueMs: hours * HOUR_MS }));
    }
    for (const runId of runs) {
      expect(await adopt(stand, 1)).toBe(1);
      expect(await stand.bases(runId)).toEqual(["host"]);
    }
  });

  it("passes over one whose row somebody is writing", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    await stand.whileLocked(runId, async () => expect(await adopt(stand)).toBe(0));
    expect(await adopt(stand)).toBe(1);
  });

  it("is no first outcome, and is pruned when it is done", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    await adopt(stand);
    expect(await stand.journal.openFirstRuns(null, 10, 0)).toEqual([]);
    await stand.pass(DAY_MS);
    expect(await stand.journal.prune(HOUR_MS, 10, stand.fence)).toBe(0);
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.journal.cleanupDone(task?.id ?? 0, null, stand.fence);
    expect(await stand.journal.prune(HOUR_MS, 10, stand.fence)).toBe(1);
    expect(await stand.bases(runId)).toEqual([]);
  });

  it("takes nothing over under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    await stand.takeOver();
    expect(await adopt(stand)).toBe(0);
    expect(await stand.stampInS(runId)).toBe(-3600);
  });
}
