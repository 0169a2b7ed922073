import { expect, it } from "vitest";
import type { JournalStand, RunChanges } from "../../support/stands/journal-stand.ts";

const MINUTE_MS = 60_000;
const CLAIM_S = 300;

/** What every journal promises about claims. */
export function describeClaims(open: () => Promise<JournalStand>): void {
  it("hands out what is due with its attempt counted, and not again before the claim has run out", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ sandboxId: "s" });
    expect(await claimed(stand)).toEqual([runId]);
    expect(await stand.entry(runId)).toMatchObject({
      state: "pending",
      attempts: 1,
      dueInS: CLAIM_S,
    });
    await stand.pass(4 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(MINUTE_MS);
    expect(await claimed(stand)).toEqual([runId]);
    expect(await stand.entry(runId)).toMatchObject({ attempts: 2 });
  });

  it("leaves one alone that is due in half a minute, and takes it then", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ dueInMs: 30_000 });
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(30_000);
    expect(await claimed(stand)).toEqual([runId]);
  });

  it("takes the oldest first, and no more than it is asked for", async () => {
    await using stand = await open();
    const late = await stand.verdict({ dueInMs: -1000 });
    const early = await stand.verdict({ dueInMs: -2000 });
    expect(await claimed(stand, 1)).toEqual([early]);
    expect(await claimed(stand, 5)).toEqual([late]);
  });

  const presumptions: readonly (readonly [string, RunChanges, "claimed" | "spared"])[] = [
    ["still stands", {}, "claimed"],
    ["was overturned by a callback", { status: "COMPLETED", errorDetail: null }, "spared"],
    ["was cancelled after all", { status: "CANCELLED" }, "spared"],
    ["is RUNNING again", { status: "RUNNING" }, "spared"],
    ["failed for another reason meanwhile", { errorDetail: "exit_code=1" }, "spared"],
    ["moved to another sandbox", { sandboxId: "other" }, "spared"],
    ["has no sandbox any more", { sandboxId: null }, "spared"],
  ];
  for (const [what, changes, expected] of presumptions) {
    it(`decides about a presumption whose run ${what}`, async () => {
      await using stand = await open();
      const runId = await stand.verdict({ basis: "presumption" });
      if (expected === "spared") await stand.changeRun(runId, changes);
      const isClaimed = expected === "claimed";
      expect(await claimed(stand)).toEqual(isClaimed ? [runId] : []);
      expect(await stand.entry(runId)).toMatchObject({
        state: isClaimed ? "pending" : "none",
        attempts: isClaimed ? 1 : 0,
      });
    });
  }

  it("spares the sandbox of a presumption whose run is gone, or whose automation keeps it by now", async () => {
    await using stand = await open();
    const gone = await stand.verdict({ basis: "presumption" });
    const kept = await stand.verdict({ basis: "presumption" });
    await stand.removeRun(gone);
    await stand.keepSandboxes(kept);
    expect(await claimed(stand)).toEqual([]);
    for (const runId of [gone, kept]) {
      expect(await stand.entry(runId)).toMatchObject({ state: "none" });
    }
  });

  it("claims a proof whatever became of its row", async () => {
    await using stand = await open();
    const [gone, changed] = [await stand.verdict(), await stand.verdict()];
    await stand.removeRun(gone);
    await stand.changeRun(changed, { status: "CANCELLED", sandboxId: "other" });
    expect(new Set(await claimed(stand))).toEqual(new Set([gone, changed]));
  });

  it("spares the sandbox of a proof whose automation keeps it by now", async () => {
    await using stand = await open();
    const [kept, other] = [await stand.verdict(), await stand.verdict()];
    await stand.keepSandboxes(kept);
    expect(await claimed(stand)).toEqual([other]);
    expect(await stand.entry(kept)).toMatchObject({ state: "none", attempts: 0 });
  });

  it("spares it after a failed attempt as well", async () => {
    await using stand = await open();
    const runId = await stand.verdict();
    const [task] = await stand.journal.claimCleanups(stand.fence, 1);
    await stand.journal.cleanupFailed(task?.id ?? 0, "HTTP 503", 0, stand.fence);
    await stand.keepSandboxes(runId);
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "none", attempts: 1 });
  });

  it("postpones a deletion without counting it while a RUNNING run names the sandbox", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ sandboxId: "shared" });
    const user = await stand.verdict({ cleanupState: "none" });
    await stand.changeRun(user, { status: "RUNNING", sandboxId: "shared" });
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({
      state: "pending",
      attempts: 0,
      dueInS: CLAIM_S,
    });
    await stand.changeRun(user, { status: "COMPLETED" });
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([runId]);
  });

  it("finds what is due behind full pages of spared and postponed ones", async () => {
    await using stand = await open();
    const user = await stand.verdict({ cleanupState: "none" });
    await stand.changeRun(user, { status: "RUNNING", sandboxId: "shared" });
    for (let index = 0; index < 3; index += 1) {
      const spared = await stand.verdict({ basis: "presumption", dueInMs: -MINUTE_MS });
      await stand.changeRun(spared, { status: "COMPLETED" });
    }
    await stand.verdict({ sandboxId: "shared", dueInMs: -MINUTE_MS });
    const runId = await stand.verdict();
    expect(await claimed(stand, 2)).toEqual([runId]);
  });

  it("claims nothing under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.verdict();
    await stand.takeOver();
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", attempts: 0 });
  });
}

/** What every journal promises about verdicts that name the same sandbox. */
export function describeSharedSandboxes(open: () => Promise<JournalStand>): void {
  it("claims the first of two that are due together, and not the second while it is in flight", async () => {
    await using stand = await open();
    const first = await stand.verdict({ sandboxId: "s" });
    const second = await stand.verdict({ sandboxId: "s", dueInMs: -1000 });
    const other = await stand.verdict({ sandboxId: "another" });
    expect(new Set(await claimed(stand))).toEqual(new Set([first, other]));
    expect(await claimed(stand)).toEqual([]);
    expect(await stand.entry(second)).toMatchObject({ state: "pending", attempts: 0 });
  });

  it("does not claim one that becomes due while the other is in flight", async () => {
    await using stand = await open();
    const first = await stand.verdict({ sandboxId: "s" });
    expect(await claimed(stand)).toEqual([first]);
    await stand.verdict({ sandboxId: "s" });
    expect(await claimed(stand)).toEqual([]);
  });

  it("does not claim one while the other backs off, and goes on with the one that was tried", async () => {
    await using stand = await open();
    await stand.verdict({ sandboxId: "s", dueInMs: 1000 });
    const tried = await stand.verdict({ sandboxId: "s", dueInMs: 1000, attempts: 1 });
    await stand.pass(1000);
    const [task] = await stand.journal.claimCleanups(stand.fence, 5);
    expect(task).toMatchObject({ runId: tried, attempts: 2 });
    await stand.journal.cleanupFailed(task?.id ?? 0, "HTTP 503", MINUTE_MS, stand.fence);
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(MINUTE_MS);
    expect(await claimed(stand)).toEqual([tried]);
  });

  it("waits for the delay of every one of them", async () => {
    await using stand = await open();
    const proof = await stand.verdict({ sandboxId: "s" });
    await stand.verdict({ sandboxId: "s", basis: "presumption", dueInMs: 5 * MINUTE_MS });
    expect(await claimed(stand)).toEqual([]);
    await stand.pass(5 * MINUTE_MS);
    expect(await claimed(stand)).toEqual([proof]);
  });

  it("goes on with the second when the first is spared, and when it is abandoned", async () => {
    await using stand = await open();
    const spared = await stand.verdict({ sandboxId: "s", basis: "presumption" });
    await stand.changeRun(spared, { status: "COMPLETED" });
    await stand.verdict({ sandboxId: "t", cleanupState: "abandoned", attempts: 9 });
    const left = [await stand.verdict({ sandboxId: "s" }), await stand.verdict({ sandboxId: "t" })];
    expect(new Set(await claimed(stand))).toEqual(new Set([left[1]]));
    expect(await claimed(stand)).toEqual([left[0]]);
  });

  it("marks the others as done with the one that is, and those of no other sandbox", async () => {
    await using stand = await open();
    const [first, second] = [
      await stand.verdict({ sandboxId: "s" }),
      await stand.verdict({ sandboxId: "s" }),
    ];
    const abandoned = await stand.verdict({ sandboxId: "s", cleanupState: "abandoned" });
    const other = await stand.verdict({ sandboxId: "t", dueInMs: MINUTE_MS });
    const [task] = await stand.journal.claimCleanups(stand.fence, 5);
    const late = await stand.verdict({ sandboxId: "s", dueInMs: MINUTE_MS });
    await stand.journal.cleanupDone(task?.id ?? 0, "a note", stand.fence);
    for (const runId of [first, second, late]) {
      expect(await stand.entry(runId)).toMatchObject({ state: "done", error: "a note" });
    }
    expect(await stand.entry(abandoned)).toMatchObject({ state: "abandoned", error: null });
    expect(await stand.entry(other)).toMatchObject({ state: "pending" });
    expect(await stand.journal.pendingCleanups()).toBe(1);
  });
}

async function claimed({ journal, fence }: JournalStand, limit = 10): Promise<readonly string[]> {
  return (await journal.claimCleanups(fence, limit)).map(({ runId }) => runId);
}
