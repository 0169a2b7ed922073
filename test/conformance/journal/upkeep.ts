import { expect, it } from "vitest";
import type { JournalStand, RunChanges, VerdictSeed } from "../../support/stands/journal-stand.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const AT_ONCE = { cleanupInMs: 0, deletionInMs: null };

/** What every journal promises about the end of a deletion. */
export function describeNotes(open: () => Promise<JournalStand>): void {
  it("closes one that is done, and forgets why it failed before", async () => {
    await using stand = await open();
    const { runId, id } = await claimOne(stand);
    await stand.journal.cleanupFailed(id, "HTTP 503", 0, stand.fence);
    await stand.journal.cleanupDone(id, null, stand.fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "done", error: null, dueInS: null });
    expect(await stand.journal.pendingCleanups()).toBe(0);
  });

  it("keeps the note of one that is taken for done", async () => {
    await using stand = await open();
    const { runId, id } = await claimOne(stand);
    await stand.journal.cleanupDone(id, "not known", stand.fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "done", error: "not known" });
  });

  const ages = [
    { name: "tries a failed one again half a minute short of a day", short: true },
    { name: "gives a failed one up half a minute after a day", short: false },
  ];
  for (const { name, short } of ages) {
    it(name, async () => {
      await using stand = await open();
      const { runId, id } = await claimOne(stand);
      await stand.pass(DAY_MS + (short ? -30_000 : 30_000));
      const state = short ? "pending" : "abandoned";
      expect(await stand.journal.cleanupFailed(id, "HTTP 503", MINUTE_MS, stand.fence)).toBe(state);
      expect(await stand.entry(runId)).toMatchObject({ state, error: "HTTP 503", dueInS: 60 });
      expect(await stand.journal.pendingCleanups()).toBe(short ? 1 : 0);
    });
  }

  it("never takes up again what was given up", async () => {
    await using stand = await open();
    const { runId, id } = await claimOne(stand);
    await stand.pass(DAY_MS + MINUTE_MS);
    await stand.journal.cleanupFailed(id, "HTTP 503", 0, stand.fence);
    await stand.pass(DAY_MS);
    expect(await stand.journal.claimCleanups(stand.fence, 5)).toEqual([]);
    await stand.journal.cleanupFailed(id, "another cause", 0, stand.fence);
    await stand.journal.cleanupDone(id, null, stand.fence);
    await stand.journal.adoptLateSandboxes(AT_ONCE, stand.fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "abandoned", error: "HTTP 503" });
  });

  it("does not open again what is done", async () => {
    await using stand = await open();
    const { runId, id } = await claimOne(stand);
    await stand.journal.cleanupDone(id, null, stand.fence);
    expect(await stand.journal.cleanupFailed(id, "too late", 0, stand.fence)).toBe("pending");
    expect(await stand.entry(runId)).toMatchObject({ state: "done", error: null, dueInS: null });
  });

  it("notes nothing under an older epoch", async () => {
    await using stand = await open();
    const { runId, id } = await claimOne(stand);
    await stand.takeOver();
    await stand.journal.cleanupDone(id, null, stand.fence);
    await stand.journal.cleanupFailed(id, "HTTP 503", 0, stand.fence);
    expect(await stand.entry(runId)).toMatchObject({ state: "pending", error: null, dueInS: 300 });
  });
}

/** What every journal promises about sandboxes that were named only after the verdict. */
export function describeAdoption(open: () => Promise<JournalStand>): void {
  const UNNAMED: VerdictSeed = { basis: "presumption", sandboxId: null, cleanupState: "none" };

  async function late(stand: JournalStand, seed: VerdictSeed = {}): Promise<string> {
    const runId = await stand.verdict({ ...UNNAMED, ...seed });
    await stand.changeRun(runId, { sandboxId: "late", errorDetail: "Timed out: a reason" });
    return runId;
  }

  async function expectAdopted(stand: JournalStand, runId: string, adopted: boolean) {
    const plan = { cleanupInMs: 5 * MINUTE_MS, deletionInMs: null };
    const before = await stand.entry(runId);
    const count = await stand.journal.adoptLateSandboxes(plan, stand.fence);
    expect(count).toBe(adopted ? 1 : 0);
    expect(await stand.entry(runId)).toEqual(
      adopted ? { ...before, state: "pending", sandboxId: "late", dueInS: 300 } : before,
    );
  }

  it("schedules the deletion after the delay, once", async () => {
    await using stand = await open();
    const runId = await late(stand);
    await expectAdopted(stand, runId, true);
    await expectAdopted(stand, runId, false);
    await stand.pass(5 * MINUTE_MS);
    expect(await stand.journal.claimCleanups(stand.fence, 5)).toMatchObject([
      { runId, sandboxId: "late", attempts: 1 },
    ]);
  });

  it("takes an empty sandbox id for none", async () => {
    await using stand = await open();
    await expectAdopted(stand, await late(stand, { sandboxId: "" }), true);
  });

  it("spares it when a callback overturns the run before the delay is over", async () => {
    await using stand = await open();
    const runId = await late(stand);
    await expectAdopted(stand, runId, true);
    await stand.changeRun(runId, { status: "COMPLETED", errorDetail: null });
    await stand.pass(5 * MINUTE_MS);
    expect(await stand.journal.claimCleanups(stand.fence, 5)).toEqual([]);
    expect(await stand.entry(runId)).toMatchObject({ state: "none" });
    await expectAdopted(stand, runId, false);
  });

  const ages = [
    { name: "still looks half a minute short of an hour after the verdict", short: true },
    { name: "looks no more half a minute after an hour", short: false },
  ];
  for (const { name, short } of ages) {
    it(name, async () => {
      await using stand = await open();
      const runId = await late(stand);
      await stand.pass(HOUR_MS + (short ? -30_000 : 30_000));
      await expectAdopted(stand, runId, short);
    });
  }

  const left: readonly (readonly [string, RunChanges])[] = [
    ["names none, still", { sandboxId: null }],
    ["names an empty one", { sandboxId: "" }],
    ["was overturned by a callback", { status: "COMPLETED", errorDetail: null }],
    ["was cancelled", { status: "CANCELLED", errorDetail: "Cancelled by user" }],
    ["is RUNNING again", { status: "RUNNING" }],
    ["failed for another reason", { errorDetail: "exit_code=1" }],
    ["has no reason any more", { errorDetail: null }],
  ];
  for (const [what, changes] of left) {
    it(`leaves a run alone that ${what}`, async () => {
      await using stand = await open();
      const runId = await late(stand);
      await stand.changeRun(runId, changes);
      await expectAdopted(stand, runId, false);
    });
  }

  const verdicts: readonly (readonly [string, VerdictSeed])[] = [
    ["a proof", { basis: "proof" }],
    ["a verdict that named a sandbox", { sandboxId: "early" }],
    ["a verdict whose clean-up is done", { cleanupState: "done" }],
    ["a verdict whose clean-up was given up", { cleanupState: "abandoned" }],
  ];
  for (const [what, seed] of verdicts) {
    it(`leaves ${what} alone`, async () => {
      await using stand = await open();
      await expectAdopted(stand, await late(stand, seed), false);
    });
  }

  it("leaves a run alone that is gone, and one whose automation keeps its sandboxes", async () => {
    await using stand = await open();
    const gone = await late(stand);
    await stand.removeRun(gone);
    await expectAdopted(stand, gone, false);
    const kept = await late(stand);
    await stand.keepSandboxes(kept);
    await expectAdopted(stand, kept, false);
  });

  it("schedules nothing under an older epoch", async () => {
    await using stand = await open();
    const runId = await late(stand);
    await stand.takeOver();
    await expectAdopted(stand, runId, false);
  });
}

/** What every journal promises about verdicts of the past. */
export function describePruning(open: () => Promise<JournalStand>): void {
  it("removes what is older than asked, and keeps what is half a minute younger", async () => {
    await using stand = await open();
    const old = await stand.verdict({ cleanupState: "none" });
    await stand.pass(MINUTE_MS);
    const young = await stand.verdict({ cleanupState: "none" });
    await stand.pass(DAY_MS - 30_000);
    expect(await stand.journal.prune(DAY_MS, 10, stand.fence)).toBe(1);
    expect(await stand.entry(old)).toBeNull();
    expect(await stand.entry(young)).not.toBeNull();
  });

  it("keeps whatever still has something to do, however old", async () => {
    await using stand = await open();
    const pending = await stand.verdict({ basis: "presumption" });
    const open1 = await stand.verdict({ cleanupState: "done", firstRunState: "pending" });
    const done = [
      await stand.verdict({ cleanupState: "done", firstRunState: "done" }),
      await stand.verdict({ cleanupState: "abandoned", basis: "presumption" }),
      await stand.verdict({ cleanupState: "none", outcome: "COMPLETED" }),
    ];
    await stand.pass(400 * DAY_MS);
    expect(await stand.journal.prune(DAY_MS, 10, stand.fence)).toBe(done.length);
    for (const runId of done) expect(await stand.entry(runId)).toBeNull();
    for (const runId of [pending, open1]) expect(await stand.entry(runId)).not.toBeNull();
  });

  it("removes no more than it is asked for", async () => {
    await using stand = await open();
    for (let index = 0; index < 5; index += 1) await stand.verdict({ cleanupState: "none" });
    await stand.pass(2 * DAY_MS);
    expect(await stand.journal.prune(DAY_MS, 3, stand.fence)).toBe(3);
    expect(await stand.journal.prune(DAY_MS, 3, stand.fence)).toBe(2);
    expect(await stand.journal.prune(DAY_MS, 3, stand.fence)).toBe(0);
  });

  it("removes nothing under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ cleanupState: "none" });
    await stand.pass(2 * DAY_MS);
    await stand.takeOver();
    expect(await stand.journal.prune(DAY_MS, 10, stand.fence)).toBe(0);
    expect(await stand.entry(runId)).not.toBeNull();
  });
}

async function claimOne(stand: JournalStand) {
  const runId = await stand.verdict();
  const [task] = await stand.journal.claimCleanups(stand.fence, 1);
  if (task === undefined) throw new Error("nothing was claimed");
  return { runId, id: task.id };
}
