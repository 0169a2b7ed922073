import { expect, it } from "vitest";
import type { RunChange, StoreStand } from "../../support/stands/store-stand.ts";
import { leave, PRESUMED, read, WRITTEN } from "../../support/stands/store-steps.ts";
import { completing, deferring, failing } from "../../support/stands/stores.ts";

/** What every run store promises of writes that do not happen. */
export function describeLostWrites(open: () => Promise<StoreStand>): void {
  const lost: readonly (readonly [string, RunChange])[] = [
    ["a callback ended", { status: "COMPLETED" }],
    ["a cancel ended", { status: "CANCELLED" }],
    ["the dispatcher gave another deadline", { overdueMin: -5 }],
    ["the dispatcher gave another sandbox", { sandboxId: "new" }],
    ["the dispatcher gave another command", { bashCommandId: "new" }],
  ];
  for (const [what, changes] of lost) {
    it(`leaves nothing behind of a deferral when ${what} the run meanwhile`, async () => {
      await using stand = await open();
      const id = await stand.add();
      const run = await read(stand, id);
      await stand.change(id, changes);
      const write = deferring(run, { suspicion: PRESUMED });
      expect(await stand.store.defer(write, stand.fence)).toEqual({ kind: "none" });
      expect(await stand.remembered(id)).toBeNull();
    });

    it(`leaves what is remembered as it was when ${what} the run meanwhile`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, PRESUMED);
      const [run, before] = [await read(stand, id), await stand.remembered(id)];
      await stand.change(id, changes);
      const { store, fence } = stand;
      expect(await store.defer(deferring(run), fence)).toEqual({ kind: "none" });
      expect(await store.apply(failing(run), fence)).toEqual({ kind: "none" });
      expect(await stand.remembered(id)).toEqual(before);
    });
  }

  it("writes nothing under an epoch of the past", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    const [run, before] = [await read(stand, id), await stand.remembered(id)];
    await stand.takeOver();
    expect(await stand.store.defer(deferring(run), stand.fence)).toEqual({ kind: "none" });
    expect(await stand.store.apply(completing(run), stand.fence)).toEqual({ kind: "none" });
    expect(await stand.remembered(id)).toEqual(before);
    expect(await stand.verdicts(id)).toEqual([]);
  });

  it("is busy, and remembers nothing, while somebody else is writing the run", async () => {
    await using stand = await open();
    const id = await stand.add();
    const run = await read(stand, id);
    await stand.whileLocked(id, async () => {
      const write = deferring(run, { suspicion: PRESUMED });
      expect(await stand.store.defer(write, stand.fence)).toEqual({ kind: "busy" });
      expect(await stand.store.apply(failing(run), stand.fence)).toEqual({ kind: "busy" });
    });
    expect(await stand.remembered(id)).toBeNull();
    expect(await stand.run(id)).toMatchObject({ status: "RUNNING", overdueMin: 1 });
  });
}

/** What every run store promises of a verdict on a run of which something is remembered. */
export function describeVerdicts(open: () => Promise<StoreStand>): void {
  it("forgets the run it ends, and no other", async () => {
    await using stand = await open();
    const [ended, other] = [await stand.add(), await stand.add()];
    for (const id of [ended, other]) await leave(stand, id, PRESUMED);
    const write = failing(await read(stand, ended));
    expect(await stand.store.apply(write, stand.fence)).toEqual(WRITTEN);
    expect(await stand.remembered(ended)).toBeNull();
    expect(await stand.remembered(other)).toMatchObject({ presumedTimes: 1 });
  });

  it("forgets also what was remembered of another sandbox", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    await stand.change(id, { sandboxId: "new" });
    const run = await read(stand, id);
    expect(run).toMatchObject({ suspicion: null, isRemembered: true });
    expect(await stand.store.apply(completing(run), stand.fence)).toEqual(WRITTEN);
    expect(await stand.remembered(id)).toBeNull();
  });

  it("ends a run of which nothing is remembered", async () => {
    await using stand = await open();
    const id = await stand.add();
    const write = completing(await read(stand, id));
    expect(await stand.store.apply(write, stand.fence)).toEqual(WRITTEN);
    expect(await stand.run(id)).toMatchObject({ status: "COMPLETED" });
  });

  for (const overrideReason of [null, "the provider confirmed the outage"]) {
    it(`notes why a person let it pass: ${overrideReason ?? "nobody had to"}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      const write = failing(await read(stand, id), { overrideReason });
      expect(await stand.store.apply(write, stand.fence)).toEqual(WRITTEN);
      expect(await stand.verdicts(id)).toEqual([{ reason: write.verdict.reason, overrideReason }]);
    });
  }
}
