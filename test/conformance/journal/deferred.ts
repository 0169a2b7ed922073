import { expect, it } from "vitest";
import type { JournalStand } from "../../support/stands/journal-stand.ts";
import {
  CLAIM_S,
  claimed,
  DAY_MS,
  DEFERRED,
  expectFailed,
  HOUR_MS,
  LATER,
  MINUTE_MS,
} from "../../support/stands/journal-steps.ts";

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
