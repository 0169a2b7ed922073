import { expect, it } from "vitest";
import { MIN_MS, NOTHING, queryOf, type StoreStand } from "../../support/stands/store-stand.ts";
import { DARK, fail, HOUR_MS, leave, PRESUMED } from "../../support/stands/store-steps.ts";

/** What every run store promises of runs that are put off without having been asked about. */
export function describeSkipped(open: () => Promise<StoreStand>): void {
  it("defers stale runs and remembers their deadlines, and nothing of them", async () => {
    await using stand = await open();
    const ids = [
      await stand.add({ overdueMin: 3, statusDetail: '{"a": 1}' }),
      await stand.add({ overdueMin: null, beganMin: 25 * 60 }),
    ];
    await skipped(stand, ids);
    for (const [id, firstDeadline] of [
      [ids[0], 3],
      [ids[1], 60],
    ] as const) {
      const { sandboxId, bashCommandId, ...rest } = (await stand.remembered(id ?? "")) ?? {};
      expect(rest).toEqual({ ...NOTHING, firstDeadline });
      expect([sandboxId, bashCommandId]).toEqual([expect.any(String), expect.any(String)]);
      expect(await stand.run(id ?? "")).toMatchObject({ status: "RUNNING", overdueMin: -60 });
    }
    expect((await stand.run(ids[0] ?? ""))?.statusDetail).toBe('{"a": 1}');
  });

  it("leaves alone what is not stale, not RUNNING or not named", async () => {
    await using stand = await open();
    const [alive, ended, other] = [
      await stand.add({ overdueMin: -5 }),
      await stand.add({ status: "COMPLETED" }),
      await stand.add(),
    ];
    await skipped(stand, [alive, ended]);
    expect(await stand.run(alive)).toMatchObject({ overdueMin: -5 });
    for (const id of [ended, other]) {
      expect(await stand.run(id)).toMatchObject({ overdueMin: 1 });
      expect(await stand.remembered(id)).toBeNull();
    }
  });

  it("leaves a run alone that somebody is writing, and defers the others at once", async () => {
    await using stand = await open();
    const [locked, free] = [await stand.add(), await stand.add()];
    await stand.whileLocked(locked, () => skipped(stand, [locked, free]));
    expect(await stand.run(locked)).toMatchObject({ overdueMin: 1 });
    expect(await stand.remembered(locked)).toBeNull();
    expect(await stand.run(free)).toMatchObject({ overdueMin: -60 });
  });

  it("keeps what is remembered of a run, and its first deadline", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 3 });
    await leave(stand, id, DARK);
    await fail(stand, id);
    await stand.pass(2 * HOUR_MS);
    const before = await stand.remembered(id);
    await skipped(stand, [id]);
    expect(await stand.remembered(id)).toEqual({ ...before, noted: 0, look: -60, shield: -60 });
    expect(before).toMatchObject({ firstDeadline: 123, noted: 120, errorTimes: 1 });
    expect(await stand.run(id)).toMatchObject({ overdueMin: -60 });
  });

  it("starts anew where something is remembered of another sandbox", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 3, bashCommandId: "c" });
    await leave(stand, id, DARK);
    await stand.change(id, { sandboxId: "new", overdueMin: 2 });
    await skipped(stand, [id]);
    const anew = { ...NOTHING, sandboxId: "new", bashCommandId: "c", firstDeadline: 2 };
    expect(await stand.remembered(id)).toEqual(anew);
  });

  it("defers a suspected run only where those are included", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    await stand.change(id, { overdueMin: -5 });
    await skipped(stand, [id]);
    expect(await stand.run(id)).toMatchObject({ overdueMin: -5 });
    await skipped(stand, [id], { includeSuspected: true });
    expect(await stand.run(id)).toMatchObject({ overdueMin: -60 });
  });

  it("takes no time away from a suspected run that has more", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    await stand.change(id, { overdueMin: -120 });
    await skipped(stand, [id], { includeSuspected: true });
    expect(await stand.run(id)).toMatchObject({ overdueMin: -120 });
    expect(await stand.remembered(id)).toMatchObject({ presumedTimes: 1 });
  });

  it("does not meet its own deferrals again under the same horizon", async () => {
    await using stand = await open();
    const id = await stand.add();
    const query = await queryOf(stand);
    await stand.store.deferSkipped([id], query, { deferMs: 30 * MIN_MS, shieldMs: 0 }, stand.fence);
    await stand.store.deferSkipped([id], query, { deferMs: 60 * MIN_MS, shieldMs: 0 }, stand.fence);
    expect(await stand.run(id)).toMatchObject({ overdueMin: -30 });
  });

  it("keeps their order, before those that were asked about meanwhile", async () => {
    await using stand = await open();
    const oldest = await stand.add({ overdueMin: 9 });
    const asked = [await stand.add({ overdueMin: 8 }), await stand.add({ overdueMin: 7 })];
    const rest = [await stand.add({ overdueMin: 2 }), await stand.add({ overdueMin: 3 })];
    const query = await queryOf(stand);
    await stand.pass(1);
    for (const id of asked) await leave(stand, id, PRESUMED);
    await stand.store.deferSkipped(
      [...rest, oldest],
      query,
      { deferMs: HOUR_MS, shieldMs: 0 },
      stand.fence,
    );
    await stand.pass(2 * HOUR_MS);
    const { ids } = await stand.store.stalePage(await queryOf(stand), null, 10);
    expect(ids).toEqual([oldest, rest[1], rest[0], ...asked]);
  });

  it("takes five hundred at once, and none", async () => {
    await using stand = await open();
    const ids: string[] = [];
    for (let index = 0; index < 500; index += 1) ids.push(await stand.add());
    await skipped(stand, []);
    await skipped(stand, ids);
    const query = await queryOf(stand);
    expect(await stand.store.backlog(query)).toMatchObject({ count: 0, deferred: 500 });
  });
}

async function skipped(stand: StoreStand, ids: readonly string[], changes = {}): Promise<void> {
  const query = await queryOf(stand, changes);
  await stand.store.deferSkipped(ids, query, { deferMs: HOUR_MS, shieldMs: 0 }, stand.fence);
}
