import { expect, it } from "vitest";
import type { JournalStand, RunChanges, StampedSeed } from "../support/journal-stand.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const CLAIM_S = 300;

const DEFERRED = { deletionInMs: HOUR_MS } as const;
const LATER = { basis: "presumption", dueInMs: 5 * MINUTE_MS, deletionInMs: HOUR_MS } as const;

/** What every journal promises about deletions that are deferred. */
export function describeDeferred(open: () => Promise<JournalStand>): void {
  it("hands out the pause at once and only once, and the deletion when it is due", async () => {
    await using stand = await open();
    const runId = await stand.verdict(DEFERRED);
    expect(await claimed(stand)).toEqual([["pause", runId]]);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", attempts: 0, dueInS: 3600 });
    expect(await stand.stampInS(runId)).toBe(3600);
    await stand.pass(HOUR_MS - 30_000);
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(30_000);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
    expect(await stand.entry(runId)).toMatchObject({ attempts: 1, dueInS: CLAIM_S });
  });

  it("says how long the pause may take: until the deletion", async () => {
    await using stand = await open();
    await stand.verdict(DEFERRED);
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    expect(task?.pauseWithinMs).toBeGreaterThan(HOUR_MS - MINUTE_MS);
    expect(task?.pauseWithinMs).toBeLessThanOrEqual(HOUR_MS);
  });

  it("hands out the pause of a presumption only when its sandbox is not spared any more", async () => {
    await using stand = await open();
    const runId = await stand.verdict(LATER);
    await stand.pass(5 * MINUTE_MS - 30_000);
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(30_000);
    expect(await claimed(stand)).toEqual([["pause", runId]]);
  });

  it("hands out no pause when the deletion is due by then", async () => {
    await using stand = await open();
    const late = await stand.verdict(DEFERRED);
    const same = await stand.verdict({ dueInMs: HOUR_MS, deletionInMs: HOUR_MS });
    await stand.pass(HOUR_MS);
    expect(new Set(await claimed(stand))).toEqual(
      new Set([
        ["delete", late],
        ["delete", same],
      ]),
    );
  });

  it("hands out no pause of what the host was not told of", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ dueInMs: MINUTE_MS });
    await stand.pass(MINUTE_MS);
    expect(await claimed(stand)).toEqual([["delete", runId]]);
  });

  it("postpones a pause while a RUNNING run names the sandbox", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ ...DEFERRED, sandboxId: "shared" });
    const user = await stand.verdict({ cleanupState: "none" });
    await stand.changeRun(user, { status: "RUNNING", sandboxId: "shared" });
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", attempts: 0, dueInS: 300 });
    await stand.changeRun(user, { status: "COMPLETED" });
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([["pause", runId]]);
  });

  it("pauses a shared sandbox when all its verdicts agree, and deletes it when the last is due", async () => {
    await using stand = await open();
    const proof = await stand.verdict({ ...DEFERRED, sandboxId: "s" });
    await stand.verdict({ ...LATER, deletionInMs: 2 * HOUR_MS, sandboxId: "s" });
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([["pause", proof]]);
    await stand.pass(HOUR_MS - 5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(HOUR_MS);
    expect(await claimed(stand)).toEqual([["delete", proof]]);
  });

  it("gives a deletion up a day after it was due, however long it was deferred", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ dueInMs: 3 * DAY_MS, deletionInMs: 3 * DAY_MS });
    await stand.pass(4 * DAY_MS - 30_000);
    const [first] = await stand.journal.claimCleanups(stand.fence, 1);
    await expectFailed(stand, first?.id, "pending");
    await stand.pass(MINUTE_MS);
    const [second] = await stand.journal.claimCleanups(stand.fence, 1);
    await expectFailed(stand, second?.id, "abandoned");
    expect(await stand.stampInS(runId)).toBeNull();
  });
}

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

  it("settles what somebody else took away, before the pause, before the deletion and after an attempt", async () => {
    await using stand = await open();
    const early = await stand.verdict(DEFERRED);
    await stand.changeRun(early, { stampInMs: null });
    await expectSettled(stand, early);
    const due = await stand.verdict(DEFERRED);
    await claimed(stand);
    await stand.pass(HOUR_MS);
    await stand.changeRun(due, { stampInMs: null });
    await expectSettled(stand, due);
    const tried = await stand.verdict({ dueInMs: 0, deletionInMs: 0 });
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.changeRun(tried, { stampInMs: null });
    await expectFailed(stand, task?.id, "pending");
    expect(await stand.stampInS(tried)).toBeNull();
    await stand.pass(MINUTE_MS);
    await expectSettled(stand, tried);
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

  it("finds what is due behind full pages of what was settled", async () => {
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

  it("settles the deletion although somebody is writing the row, and takes it away later", async () => {
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

  it("settles it when the host comes to it after all", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    expect(await adopt(stand)).toBe(1);
    await stand.changeRun(runId, { stampInMs: null });
    await expectSettled(stand, runId);
  });

  it("leaves to its own verdict what is pending there", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ ...DEFERRED });
    await stand.pass(2 * HOUR_MS);
    expect(await adopt(stand)).toBe(0);
    expect(await stand.bases(runId)).toEqual(["proof"]);
  });

  it("takes the oldest over first, and no more than it is asked for", async () => {
    await using stand = await open();
    const late = await stand.stamped({ overdueMs: HOUR_MS });
    const early = await stand.stamped({ overdueMs: 2 * HOUR_MS });
    expect(await adopt(stand, 1)).toBe(1);
    expect(await stand.bases(early)).toEqual(["host"]);
    expect(await adopt(stand, 1)).toBe(1);
    expect(await stand.bases(late)).toEqual(["host"]);
  });

  it("passes over one whose row somebody is writing", async () => {
    await using stand = await open();
    const runId = await stand.stamped({ overdueMs: HOUR_MS });
    await stand.whileLocked(runId, async () => expect(await adopt(stand)).toBe(0));
    expect(await adopt(stand)).toBe(1);
  });

  it("is no first outcome, and is pruned when it is settled", async () => {
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

async function claimed({ journal, fence }: JournalStand, limit = 10) {
  const tasks = await journal.claimCleanups(fence, limit);
  return tasks.map(({ runId, pauseWithinMs }) => [
    pauseWithinMs === null ? "delete" : "pause",
    runId,
  ]);
}

function adopt({ journal, fence }: JournalStand, limit = 10): Promise<number> {
  return journal.adoptOverdueStamps(limit, fence);
}

async function expectFailed(
  { journal, fence }: JournalStand,
  id: number | undefined,
  state: "pending" | "abandoned",
): Promise<void> {
  expect(await journal.cleanupFailed(id ?? 0, "HTTP 503", MINUTE_MS, fence)).toBe(state);
}

async function expectSettled(stand: JournalStand, runId: string): Promise<void> {
  expect(await claimed(stand)).toEqual([]);
  expect(await stand.entry(runId)).toMatchObject({
    state: "done",
    error: "the host took it over",
    dueInS: null,
  });
}
