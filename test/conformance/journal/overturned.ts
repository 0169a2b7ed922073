import { expect, it } from "vitest";
import { ALL_VERDICTS } from "../../../src/watchdog/journal-ports.ts";
import type { JournalStand, RunChanges } from "../../support/stands/journal-stand.ts";

const DAY_MS = 86_400_000;
const PRESUMED = { basis: "presumption", cleanupState: "none" } as const;
const CALLBACK = { status: "COMPLETED", errorDetail: null } as const;

/** What every journal promises about presumptions that turn out wrong. */
export function describeOverturned(open: () => Promise<JournalStand>): void {
  const marked = ({ journal, fence }: JournalStand, limit = 10) =>
    journal.markOverturned(DAY_MS, limit, fence);
  const mark = async (stand: JournalStand, limit?: number) => (await marked(stand, limit)).length;

  const ends: readonly (readonly [string, RunChanges])[] = [
    ["a late callback said that it is COMPLETED", CALLBACK],
    ["a late callback said why it FAILED", { errorDetail: "exit_code=1" }],
    ["it FAILED and says no more why", { errorDetail: null }],
    ["somebody CANCELLED it", { status: "CANCELLED" }],
  ];
  for (const [what, changes] of ends) {
    it(`notes once that ${what}`, async () => {
      await using stand = await open();
      const [stands, runId] = [await stand.verdict(PRESUMED), await stand.verdict(PRESUMED)];
      await stand.changeRun(runId, changes);
      expect(await mark(stand)).toBe(1);
      expect(await stand.overturned(runId)).toBe(true);
      expect(await stand.overturned(stands)).toBe(false);
      expect(await mark(stand)).toBe(0);
    });
  }

  it("tells which run it was, what was said of it and when, what it is now and how much later", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ basis: "presumption", cleanupState: "done" });
    const [verdict] = await stand.reader.verdicts({ ...ALL_VERDICTS, runId, limit: 1 });
    await stand.pass(60_000);
    await stand.changeRun(runId, { ...CALLBACK, completed: true });
    const [told] = await marked(stand);
    expect(told).toEqual({
      runId,
      automationId: verdict?.automationId,
      outcome: "FAILED",
      reason: verdict?.reason,
      decidedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      statusNow: "COMPLETED",
      laterMs: expect.any(Number),
      sandboxDeleted: true,
    });
    expect(told?.laterMs).toBeGreaterThanOrEqual(60_000);
  });

  it("tells of no time where the host has not changed it, and what became of the sandbox", async () => {
    await using stand = await open();
    const kept = await stand.verdict({ basis: "presumption", cleanupState: "pending" });
    const none = await stand.verdict({ ...PRESUMED, sandboxId: null });
    for (const runId of [kept, none]) await stand.changeRun(runId, CALLBACK);
    const told = await marked(stand);
    const of = (id: string) => told.find(({ runId }) => runId === id);
    expect(of(kept)).toMatchObject({ laterMs: null, sandboxDeleted: false });
    expect(of(none)).toMatchObject({ laterMs: null, sandboxDeleted: null });
  });

  it("notes nothing of a proof, whatever became of its run", async () => {
    await using stand = await open();
    const runId = await stand.verdict({ basis: "proof", cleanupState: "none" });
    await stand.changeRun(runId, CALLBACK);
    expect(await mark(stand)).toBe(0);
  });

  it("notes nothing of a run that is gone, that is RUNNING again, or that began anew", async () => {
    await using stand = await open();
    await stand.removeRun(await stand.verdict(PRESUMED));
    await stand.changeRun(await stand.verdict(PRESUMED), { status: "RUNNING" });
    await stand.pass(1000);
    await stand.changeRun(await stand.verdict(PRESUMED), CALLBACK);
    const restarted = await stand.verdict(PRESUMED);
    await stand.pass(1000);
    await stand.changeRun(restarted, { ...CALLBACK, restarted: true });
    expect(await mark(stand)).toBe(1);
    expect(await stand.overturned(restarted)).toBe(false);
  });

  it("looks at verdicts of the time that is asked for, and at no older ones", async () => {
    await using stand = await open();
    const old = await stand.verdict(PRESUMED);
    await stand.pass(60_000);
    const young = await stand.verdict(PRESUMED);
    await stand.pass(DAY_MS - 30_000);
    for (const runId of [old, young]) await stand.changeRun(runId, CALLBACK);
    expect(await mark(stand)).toBe(1);
    expect(await stand.overturned(young)).toBe(true);
  });

  it("notes at most so many at once, and the others later", async () => {
    await using stand = await open();
    for (let index = 0; index < 3; index += 1) {
      await stand.changeRun(await stand.verdict(PRESUMED), CALLBACK);
    }
    expect(await mark(stand, 2)).toBe(2);
    expect(await mark(stand, 2)).toBe(1);
  });

  it("notes nothing under an older epoch", async () => {
    await using stand = await open();
    const runId = await stand.verdict(PRESUMED);
    await stand.changeRun(runId, CALLBACK);
    await stand.takeOver();
    expect(await mark(stand)).toBe(0);
    expect(await stand.overturned(runId)).toBe(false);
  });
}
