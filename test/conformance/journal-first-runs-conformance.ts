import { expect, it } from "vitest";
import type { FirstRunTask } from "../../src/watchdog/journal-ports.ts";
import {
  type JournalStand,
  type RunChanges,
  type VerdictSeed,
  WAITING,
} from "../support/stands/journal-stand.ts";

const MINUTE_MS = 60_000;
const DELAY_MS = 5 * MINUTE_MS;
const RECORDED = '{"template":{},"first_run":{}}';

const PROOF: VerdictSeed = { firstRunState: "pending", cleanupState: "none" };
const PRESUMPTION: VerdictSeed = { ...PROOF, basis: "presumption" };
const OVERTURNED: RunChanges = { status: "COMPLETED", errorDetail: null };

/** What every journal promises about the first outcomes of automations. */
export function describeFirstRuns(open: () => Promise<JournalStand>): void {
  it("hands out a proof at once, and a presumption when it is as old as asked", async () => {
    await using stand = await open();
    const proof = await stand.verdict(PROOF);
    const presumption = await stand.verdict(PRESUMPTION);
    expect(await openRuns(stand)).toEqual(new Set([proof]));
    await stand.pass(DELAY_MS - 30_000);
    expect(await openRuns(stand)).toEqual(new Set([proof]));
    await stand.pass(30_000);
    expect(await openRuns(stand)).toEqual(new Set([proof, presumption]));
  });

  it("hands out a presumption at once where none has to wait", async () => {
    await using stand = await open();
    const presumption = await stand.verdict(PRESUMPTION);
    expect(await openRuns(stand, 0)).toEqual(new Set([presumption]));
  });

  it("lets the later verdicts of an automation wait for its oldest", async () => {
    await using stand = await open();
    const first = await stand.verdict(PRESUMPTION);
    await stand.verdict({ ...PROOF, like: first });
    await stand.verdict({ ...PRESUMPTION, like: first });
    expect(await openRuns(stand)).toEqual(new Set());
    await stand.pass(DELAY_MS);
    expect(await openRuns(stand)).toEqual(new Set([first]));
  });

  it("goes on with the next verdict of an automation when the oldest was overturned", async () => {
    await using stand = await open();
    const first = await stand.verdict(PRESUMPTION);
    const second = await stand.verdict({ ...PROOF, like: first });
    await stand.changeRun(first, OVERTURNED);
    expect(await openRuns(stand)).toEqual(new Set());
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(1);
    expect(await openRuns(stand)).toEqual(new Set([second]));
  });

  const ends: readonly (readonly [string, RunChanges])[] = [
    ["was overturned by a callback", OVERTURNED],
    ["was cancelled after all", { status: "CANCELLED", errorDetail: "Cancelled by user" }],
    ["is RUNNING again", { status: "RUNNING" }],
    ["failed for another reason", { errorDetail: "exit_code=1" }],
  ];
  for (const [what, changes] of ends) {
    it(`records nothing of a presumption whose run ${what}, and closes it`, async () => {
      await using stand = await open();
      const runId = await stand.verdict(PRESUMPTION);
      const task = await readTask(stand);
      await stand.changeRun(runId, changes);
      await expectUnrecorded(stand, runId, task);
      expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(1);
      expect(await stand.firstRunState(runId)).toBe("none");
    });
  }

  it("records nothing of a presumption whose run is gone, and closes it", async () => {
    await using stand = await open();
    const runId = await stand.verdict(PRESUMPTION);
    const task = await readTask(stand);
    await stand.removeRun(runId);
    await expectUnrecorded(stand, runId, task);
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(1);
    expect(await stand.firstRunState(runId)).toBe("none");
  });

  it("records nothing of a presumption while somebody is writing its run, and leaves it open", async () => {
    await using stand = await open();
    const runId = await stand.verdict(PRESUMPTION);
    const task = await readTask(stand);
    await stand.whileLocked(runId, () => expectUnrecorded(stand, runId, task));
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(0);
    expect(await stand.journal.recordFirstRun(task, RECORDED, stand.fence)).toBe(true);
    expect(await stand.preset(runId)).toBe(RECORDED);
  });

  it("records a presumption whatever else was changed of its run", async () => {
    await using stand = await open();
    const runId = await stand.verdict(PRESUMPTION);
    const task = await readTask(stand);
    await stand.changeRun(runId, { sandboxId: "another" });
    await stand.keepSandboxes(runId);
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(0);
    expect(await stand.journal.recordFirstRun(task, RECORDED, stand.fence)).toBe(true);
    expect(await stand.preset(runId)).toBe(RECORDED);
  });

  it("records a proof whatever becomes of its run", async () => {
    await using stand = await open();
    const changed = await stand.verdict(PROOF);
    const gone = await stand.verdict(PROOF);
    await stand.changeRun(changed, { status: "COMPLETED", errorDetail: null });
    await stand.removeRun(gone);
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(0);
    await stand.whileLocked(changed, async () => {
      for (const task of await stand.journal.openFirstRuns(null, 10, DELAY_MS)) {
        expect(await stand.journal.recordFirstRun(task, RECORDED, stand.fence)).toBe(true);
      }
    });
    for (const runId of [changed, gone]) expect(await stand.preset(runId)).toBe(RECORDED);
  });

  it("closes nothing under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.verdict(PRESUMPTION);
    await stand.changeRun(runId, OVERTURNED);
    await stand.takeOver();
    expect(await stand.journal.closeOverturnedFirstRuns(stand.fence)).toBe(0);
    expect(await stand.firstRunState(runId)).toBe("pending");
  });
}

async function openRuns({ journal }: JournalStand, presumedForMs = DELAY_MS) {
  const tasks = await journal.openFirstRuns(null, 10, presumedForMs);
  return new Set(tasks.map(({ runId }) => runId));
}

async function readTask({ journal }: JournalStand): Promise<FirstRunTask> {
  const [task] = await journal.openFirstRuns(null, 1, 0);
  if (task === undefined) throw new Error("no first run is open");
  return task;
}

async function expectUnrecorded(
  stand: JournalStand,
  runId: string,
  task: FirstRunTask,
): Promise<void> {
  expect(await stand.journal.recordFirstRun(task, RECORDED, stand.fence)).toBe(false);
  expect(await stand.preset(runId)).toBe(WAITING);
  expect(await stand.firstRunState(runId)).toBe("pending");
}
