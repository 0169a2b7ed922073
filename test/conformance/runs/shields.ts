import { expect, it } from "vitest";
import { CLEARED, inconclusive, type SuspicionChange } from "../../../src/rules/suspicion.ts";
import { MIN_MS, queryOf, type StoreStand } from "../../support/stands/store-stand.ts";
import { HOUR_MS, leave, PRESUMED, read, WRITTEN } from "../../support/stands/store-steps.ts";
import { deferring } from "../../support/stands/stores.ts";

const NEXT_LOOK_MIN = 60;
const SHIELD_MS = 30 * MIN_MS;
const SHIELD_MIN = 90;

type Defer = (stand: StoreStand, id: string) => Promise<void>;

/** Everything that leaves a run RUNNING with a deadline of ours: a look in an hour, a shield for half an hour more. */
const DEFERRALS: Readonly<Record<string, Defer>> = {
  "was seen alive": (stand, id) => leave(stand, id, CLEARED, SHIELD_MS),
  "is suspected": (stand, id) => leave(stand, id, PRESUMED, SHIELD_MS),
  "is held": (stand, id) => leave(stand, id, { ...PRESUMED, held: true }, SHIELD_MS),
  "gave no answer": (stand, id) => leave(stand, id, inconclusive(null, "no answer"), SHIELD_MS),
  "was not asked": async (stand, id) => {
    const query = await queryOf(stand, { includeSuspected: true });
    const deferral = { deferMs: HOUR_MS, shieldMs: SHIELD_MS };
    await stand.store.deferSkipped([id], query, deferral, stand.fence);
  },
};

/** What every run store promises of the deadline that hides a run from others, and of our own look behind it. */
export function describeShields(open: () => Promise<StoreStand>): void {
  for (const [what, defer] of Object.entries(DEFERRALS)) {
    it(`hides a run that ${what} until some time after our next look, which comes first`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await defer(stand, id);
      expect(await stand.run(id)).toMatchObject({ overdueMin: -SHIELD_MIN });
      const remembered = { look: -NEXT_LOOK_MIN, shield: -SHIELD_MIN };
      expect(await stand.remembered(id)).toMatchObject(remembered);
      await stand.pass(NEXT_LOOK_MIN * MIN_MS - 1000);
      expect(await due(stand)).toEqual([]);
      await stand.pass(2000);
      expect(await due(stand)).toEqual([id]);
      expect(await stand.run(id)).toMatchObject({ overdueMin: -30 });
    });

    it(`never moves back the deadline of a run that ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      // Remembered, so that whoever includes suspected runs takes it up in spite of its deadline.
      await leave(stand, id, PRESUMED);
      await stand.change(id, { overdueMin: -12 * 60 });
      await defer(stand, id);
      expect(await stand.run(id)).toMatchObject({ overdueMin: -12 * 60 });
      // It is the host's deadline, and counts as such.
      expect(await stand.remembered(id)).toMatchObject({ look: null, shield: null });
      await stand.pass(2 * HOUR_MS);
      expect(await due(stand)).toEqual([]);
      await stand.pass(11 * HOUR_MS);
      expect(await due(stand)).toEqual([id]);
    });

    it(`goes by the deadline of a run that ${what} when somebody has moved it since`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await defer(stand, id);
      await stand.change(id, { overdueMin: -80 });
      await stand.pass(70 * MIN_MS);
      expect(await due(stand)).toEqual([]);
      await stand.pass(20 * MIN_MS);
      expect(await due(stand)).toEqual([id]);
    });

    it(`looks in time at a run that ${what} when its sandbox or start changed and its deadline did not`, async () => {
      await using stand = await open();
      const [moved, anew] = [await stand.add(), await stand.add()];
      for (const id of [moved, anew]) await defer(stand, id);
      await stand.change(moved, { sandboxId: "new" });
      await stand.change(anew, { beganMin: 0 });
      await stand.pass(70 * MIN_MS);
      expect(await due(stand)).toEqual([moved, anew]);
      expect((await read(stand, moved)).stale).toBe(true);
    });
  }

  it("keeps a longer shield of ours, and looks behind it when it was asked to", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED, 10 * HOUR_MS);
    await leave(stand, id, PRESUMED, SHIELD_MS);
    expect(await stand.run(id)).toMatchObject({ overdueMin: -11 * 60 });
    const remembered = { look: -NEXT_LOOK_MIN, shield: -11 * 60 };
    expect(await stand.remembered(id)).toMatchObject(remembered);
    await stand.pass(NEXT_LOOK_MIN * MIN_MS + 1000);
    expect(await due(stand)).toEqual([id]);
  });

  it("looks no later than the limit, and shields from there on", async () => {
    await using stand = await open();
    const id = await stand.add();
    const notAfterMs = (await stand.leadership.horizon()).ms + 20 * MIN_MS;
    const deferral = { deferMs: HOUR_MS, shieldMs: SHIELD_MS, notAfterMs };
    const write = deferring(await read(stand, id), deferral);
    expect(await stand.store.defer(write, stand.fence)).toEqual(WRITTEN);
    expect(await stand.run(id)).toMatchObject({ overdueMin: -50 });
    expect(await stand.remembered(id)).toMatchObject({ look: -20, shield: -50 });
  });

  it("gives a run without a deadline one", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: null, beganMin: 25 * 60 });
    await leave(stand, id, PRESUMED, SHIELD_MS);
    expect(await stand.run(id)).toMatchObject({ overdueMin: -SHIELD_MIN });
    await stand.pass(61 * MIN_MS);
    expect(await due(stand)).toEqual([id]);
  });

  it("takes up a run whose shield has run out in its place, once", async () => {
    await using stand = await open();
    const [shielded, overdue] = [await stand.add(), await stand.add()];
    await leave(stand, shielded, PRESUMED, SHIELD_MS);
    await stand.pass(5 * HOUR_MS);
    await stand.change(overdue, { overdueMin: 3.8 * 60 });
    expect(await due(stand)).toEqual([shielded, overdue]);
    await stand.change(overdue, { overdueMin: 4.2 * 60 });
    expect(await due(stand)).toEqual([overdue, shielded]);
  });

  it("pages through deadlines and looks in one order, whatever the size of a page", async () => {
    await using stand = await open();
    const ids: string[] = [];
    for (let index = 0; index < 6; index += 1) {
      const id = await stand.add();
      if (index % 2 === 0) await leave(stand, id, PRESUMED, SHIELD_MS);
      else await stand.change(id, { overdueMin: -NEXT_LOOK_MIN });
      ids.push(id);
      await stand.pass(1000);
    }
    await stand.pass(2 * HOUR_MS);
    for (let size = 1; size <= 7; size += 1) expect(await due(stand, size)).toEqual(ids);
  });

  it("counts a run by its look in the backlog", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 5 });
    await leave(stand, id, PRESUMED, SHIELD_MS);
    const figures = async () => await stand.store.backlog(await queryOf(stand));
    expect(await figures()).toMatchObject({ count: 0, deferred: 1 });
    await stand.pass(61 * MIN_MS);
    const { oldestOverdueMs, ...counts } = await figures();
    expect(counts).toMatchObject({ count: 1, deferred: 0 });
    expect(Math.round((oldestOverdueMs ?? 0) / MIN_MS)).toBe(66);
    expect((await read(stand, id)).stale).toBe(true);
  });

  const ended: readonly (readonly [string, SuspicionChange, string, string, number])[] = [
    ["a suspected run that timed out", PRESUMED, "FAILED", "Timed out: gone", 1],
    ["a held run that timed out", { ...CLEARED, held: true }, "FAILED", "Timed out: gone", 1],
    ["a run that is not suspected", CLEARED, "FAILED", "Timed out: gone", 0],
    ["a suspected run with an exit code", PRESUMED, "FAILED", "exit_code=1", 0],
    ["a suspected run that a callback completed", PRESUMED, "COMPLETED", "", 0],
    ["a suspected run that was cancelled", PRESUMED, "CANCELLED", "Timed out: no", 0],
  ];
  for (const [what, suspicion, status, errorDetail, count] of ended) {
    it(`${count === 1 ? "takes" : "does not take"} ${what} for one that another watchdog ended`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, suspicion);
      await stand.change(id, { status, errorDetail });
      expect(await stand.store.dropSuspicions(stand.fence)).toBe(count);
      expect(await stand.store.dropSuspicions(stand.fence)).toBe(0);
      expect(await stand.remembered(id)).toBeNull();
    });
  }
}

/** Everything that a sweep which begins now would take up, in its order. */
async function due(stand: StoreStand, size = 100): Promise<readonly string[]> {
  const query = await queryOf(stand);
  const ids: string[] = [];
  let page = await stand.store.stalePage(query, null, size);
  while (page.next !== null) {
    ids.push(...page.ids);
    page = await stand.store.stalePage(query, page.next, size);
  }
  return [...ids, ...page.ids];
}
