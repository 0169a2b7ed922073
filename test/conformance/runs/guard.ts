import { expect, it } from "vitest";
import { inconclusive, isConfirmable } from "../../../src/rules/suspicion.ts";
import type { StaleQuery } from "../../../src/watchdog/store-ports.ts";
import {
  MIN_MS,
  queryOf,
  type RunChange,
  type StoreStand,
} from "../../support/stands/store-stand.ts";
import { DARK, fail, HOUR_MS, leave, PRESUMED, read } from "../../support/stands/store-steps.ts";
import { completing, failing } from "../../support/stands/stores.ts";

const OVERDUE: RunChange = { overdueMin: 1 };

/** What every run store promises of the facts a guard starts from. */
export function describeGuardFacts(open: () => Promise<StoreStand>): void {
  const limits: readonly (readonly [number, number, boolean])[] = [
    [0, 1, false],
    [1, 1, true],
    [0, 2, false],
    [1, 2, true],
    [2, 2, true],
    [1, 3, false],
    [2, 3, true],
  ];
  for (const [presumedTimes, confirmations, expected] of limits) {
    const seen = `${presumedTimes} observations`;
    it(`${expected ? "counts" : "does not count"} a stale run with ${seen} where ${confirmations} confirm`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, { ...PRESUMED, presumedTimes, unknownTimes: 1 });
      await stand.change(id, OVERDUE);
      const facts = await stand.store.guardFacts(confirmations);
      expect(facts.confirmable).toBe(expected ? 1 : 0);
      // A sweep that comes to the run takes it from that number.
      expect(isConfirmable((await read(stand, id)).suspicion, confirmations)).toBe(expected);
    });
  }

  const uncounted: readonly (readonly [string, (stand: StoreStand, id: string) => unknown])[] = [
    ["was ended meanwhile", (stand, id) => stand.change(id, { status: "FAILED" })],
    ["has another sandbox", (stand, id) => stand.change(id, { sandboxId: "new" })],
    ["has another command", (stand, id) => stand.change(id, { bashCommandId: "new" })],
    ["was started anew", (stand, id) => stand.change(id, { beganMin: 3 })],
  ];
  for (const [what, make] of uncounted) {
    it(`does not count a run that ${what}`, async () => {
      await using stand = await open();
      const [counted, id] = [await stand.add(), await stand.add()];
      for (const each of [counted, id]) {
        await leave(stand, each, PRESUMED);
        await stand.change(each, OVERDUE);
      }
      await make(stand, id);
      expect((await stand.store.guardFacts(2)).confirmable).toBe(1);
    });
  }

  it("counts a suspected run of the whole fleet, whatever it waits for", async () => {
    await using stand = await open();
    const [due, deferred, failing] = [await stand.add(), await stand.add(), await stand.add()];
    for (const id of [due, deferred, failing]) await leave(stand, id, PRESUMED);
    await stand.change(due, OVERDUE);
    await fail(stand, failing);
    const facts = await stand.store.guardFacts(2);
    expect(facts.confirmable).toBe(3);
  });

  it("counts the proofs of the last hour", async () => {
    await using stand = await open();
    const { store, fence } = stand;
    await store.apply(completing(await read(stand, await stand.add())), fence);
    await store.apply(failing(await read(stand, await stand.add())), fence);
    await stand.pass(30 * MIN_MS);
    await store.apply(completing(await read(stand, await stand.add())), fence);
    expect(await store.guardFacts(2)).toMatchObject({ provenLastHour: 2 });
    await stand.pass(31 * MIN_MS);
    expect(await store.guardFacts(2)).toMatchObject({ provenLastHour: 1 });
  });

  it("knows for how many runs the last full sweep got an answer", async () => {
    await using stand = await open();
    const answered = async () => (await stand.store.guardFacts(2)).lastAnswered;
    expect(await answered()).toBe(0);
    const counts = { stale: 99, completed: 1, failed: 2, deferred: 4, suspected: 8, held: 16 };
    const others = { undetermined: 32, lostRace: 32, busy: 32, skipped: 32, errors: 32 };
    const throttle = { pausedForMs: 0, concurrency: null };
    const report = { counts: { ...counts, ...others } };
    expect(await stand.leadership.finish(stand.fence, report, throttle)).toBe(true);
    expect(await answered()).toBe(31);
  });

  it("counts presumptions of the last hour, without those a person let pass and without proofs", async () => {
    await using stand = await open();
    const { store, fence } = stand;
    const end = async (overrideReason: string | null) =>
      store.apply(failing(await read(stand, await stand.add()), { overrideReason }), fence);
    const counted = async () => (await store.guardFacts(2)).presumedLastHour;
    await end(null);
    await stand.pass(30 * MIN_MS);
    await end(null);
    await end("a person");
    await store.apply(completing(await read(stand, await stand.add())), fence);
    expect(await counted()).toBe(2);
    await stand.pass(29 * MIN_MS);
    expect(await counted()).toBe(2);
    await stand.pass(2 * MIN_MS);
    expect(await counted()).toBe(1);
    await stand.pass(30 * MIN_MS);
    expect(await counted()).toBe(0);
  });
}

const NONE = { count: 0, deferred: 0, held: 0, failing: 0 };
const EMPTY = { ...NONE, oldestOverdueMs: null };

/** What every run store promises of its figures. */
export function describeBacklog(open: () => Promise<StoreStand>): void {
  it("is empty when nothing is overdue and nobody was deferred", async () => {
    await using stand = await open();
    await stand.add({ overdueMin: -5 });
    await stand.add({ overdueMin: 5, status: "COMPLETED" });
    expect(await stand.store.backlog(await queryOf(stand))).toEqual(EMPTY);
  });

  it("counts stale runs, and deferred ones with the deadline they had first", async () => {
    await using stand = await open();
    await stand.add({ overdueMin: 10 });
    await leave(stand, await stand.add({ overdueMin: 50 }));
    await leave(stand, await stand.add({ overdueMin: 30 }), inconclusive(null, "no answer"));
    expect(await figures(stand)).toEqual({ ...NONE, count: 1, deferred: 2, oldest: 50 });
  });

  it("counts a deferred run that is overdue again as stale, from its first deadline on", async () => {
    await using stand = await open();
    await leave(stand, await stand.add({ overdueMin: 5 }));
    await stand.pass(2 * HOUR_MS);
    expect(await figures(stand)).toEqual({ ...NONE, count: 1, oldest: 125 });
  });

  it("counts what the guard holds, stale or deferred", async () => {
    await using stand = await open();
    const [stale, deferred] = [await stand.add(), await stand.add()];
    for (const id of [stale, deferred]) await leave(stand, id, DARK);
    await stand.change(stale, OVERDUE);
    await leave(stand, await stand.add(), PRESUMED);
    expect(await figures(stand)).toMatchObject({ count: 1, deferred: 2, held: 2 });
  });

  it("counts failures, which are not taken up before their time but overdue all the same", async () => {
    await using stand = await open();
    await fail(stand, await stand.add({ overdueMin: 40 }));
    await stand.add({ overdueMin: 20 });
    expect(await figures(stand)).toEqual({ ...NONE, count: 1, failing: 1, oldest: 40 });
    await stand.pass(2 * HOUR_MS);
    expect(await figures(stand)).toEqual({ ...NONE, count: 2, failing: 1, oldest: 160 });
  });

  it("does not count as overdue a failure whose deadline is to come", async () => {
    await using stand = await open();
    await fail(stand, await stand.add({ overdueMin: -30 }));
    expect(await figures(stand)).toEqual({ ...NONE, failing: 1, oldest: null });
  });

  const changes: readonly (readonly [string, RunChange])[] = [
    ["has ended", { status: "COMPLETED" }],
    ["has another sandbox", { sandboxId: "new" }],
    ["has another command", { bashCommandId: "new" }],
  ];
  for (const [what, change] of changes) {
    it(`forgets a deferred run that ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await fail(stand, id);
      await stand.change(id, change);
      expect(await stand.store.backlog(await queryOf(stand))).toEqual(EMPTY);
    });
  }

  it("counts suspected runs as what is taken up where they are included, and other deferred ones not", async () => {
    await using stand = await open();
    await leave(stand, await stand.add(), PRESUMED);
    await leave(stand, await stand.add());
    await stand.pass(MIN_MS);
    expect(await figures(stand)).toMatchObject({ count: 0, deferred: 2 });
    const included = await figures(stand, { includeSuspected: true });
    expect(included).toMatchObject({ count: 1, deferred: 1, oldest: 2 });
  });

  it("counts a run without a deadline from a day after it began", async () => {
    await using stand = await open();
    await stand.add({ overdueMin: null, beganMin: 24 * 60 + 15 });
    await stand.add({ overdueMin: null, beganMin: 24 * 60 - 15 });
    expect(await figures(stand)).toEqual({ ...NONE, count: 1, oldest: 15 });
  });
}

/** The backlog with the oldest age in minutes. */
async function figures(stand: StoreStand, changes: Partial<StaleQuery> = {}): Promise<object> {
  const { oldestOverdueMs, ...counts } = await stand.store.backlog(await queryOf(stand, changes));
  const oldest = oldestOverdueMs === null ? null : Math.round(oldestOverdueMs / MIN_MS);
  return { ...counts, oldest };
}
