import { expect, it } from "vitest";
import { CLEARED, inconclusive } from "../../../src/rules/suspicion.ts";
import {
  NOTHING,
  type RunChange,
  type StandRun,
  type StoreStand,
} from "../../support/stands/store-stand.ts";
import {
  DARK,
  fail,
  HOUR_MS,
  leave,
  PRESUMED,
  read,
  WRITTEN,
} from "../../support/stands/store-steps.ts";
import { deferring } from "../../support/stands/stores.ts";

/** What every run store promises of a deferral and of what it remembers with it. */
export function describeDeferrals(open: () => Promise<StoreStand>): void {
  it("moves the deadline and remembers the first one, of which sandbox and command it was", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 7, sandboxId: "s", bashCommandId: "c" });
    await leave(stand, id);
    expect(await stand.run(id)).toMatchObject({ status: "RUNNING", overdueMin: -60 });
    expect(await stand.remembered(id)).toEqual({
      ...NOTHING,
      sandboxId: "s",
      bashCommandId: "c",
      firstDeadline: 7,
    });
  });

  it("keeps the first deadline through later deferrals", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 7 });
    await leave(stand, id);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id, PRESUMED);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id);
    expect(await stand.remembered(id)).toMatchObject({ firstDeadline: 7 + 240, noted: 0 });
  });

  it("takes the time of the first deferral where there was no deadline", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: null, beganMin: 2 * 24 * 60 });
    await leave(stand, id);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id);
    expect(await stand.remembered(id)).toMatchObject({ firstDeadline: 120 });
  });

  it("counts observations with the time of the last one, which one that does not count leaves alone", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    await stand.pass(2 * HOUR_MS);
    const { suspicion } = await read(stand, id);
    await leave(stand, id, { ...PRESUMED, presumedTimes: 1, observed: false });
    expect(suspicion).toMatchObject({ presumedTimes: 1, presumedReason: PRESUMED.presumedReason });
    const seen = { presumedTimes: 1, presumedReason: PRESUMED.presumedReason, presumedLast: 120 };
    expect(await stand.remembered(id)).toMatchObject(seen);
    await leave(stand, id, { ...PRESUMED, presumedTimes: 2, presumedReason: "command lost" });
    const again = { presumedTimes: 2, presumedReason: "command lost", presumedLast: 0 };
    expect(await stand.remembered(id)).toMatchObject(again);
  });

  it("counts answers that told nothing from the first of them on, and keeps the observations", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    for (const times of [1, 2]) {
      await stand.pass(2 * HOUR_MS);
      const { suspicion } = await read(stand, id);
      await leave(stand, id, inconclusive(suspicion, "no answer"));
      expect(await stand.remembered(id)).toMatchObject({
        presumedTimes: 1,
        presumedLast: 120 * times,
        unknownTimes: times,
        unknownSince: 120 * (times - 1),
        unknownCause: "no answer",
      });
    }
  });

  it("remembers since when the guard holds a verdict, until it does not", async () => {
    await using stand = await open();
    const id = await stand.add();
    const held = { ...PRESUMED, held: true };
    await leave(stand, id, held);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id, held);
    expect(await stand.remembered(id)).toMatchObject({ heldSince: 120 });
    await leave(stand, id, PRESUMED);
    expect(await stand.remembered(id)).toMatchObject({ presumedTimes: 1, heldSince: null });
    await leave(stand, id, held);
    expect(await stand.remembered(id)).toMatchObject({ heldSince: 0 });
  });

  it("forgets everything but the first deadline after proof of life", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 3, sandboxId: "s", bashCommandId: "c" });
    await leave(stand, id, DARK);
    await fail(stand, id);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id, CLEARED);
    expect(await stand.remembered(id)).toEqual({
      ...NOTHING,
      sandboxId: "s",
      bashCommandId: "c",
      firstDeadline: 123,
    });
  });

  it("starts to count inconclusive answers anew after a conclusive one", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, inconclusive(null, "no answer"));
    await stand.pass(2 * HOUR_MS);
    await leave(stand, id, CLEARED);
    await leave(stand, id, inconclusive(null, "no answer"));
    expect(await stand.remembered(id)).toMatchObject({ unknownTimes: 1, unknownSince: 0 });
  });

  it("forgets failures, because the run could be handled", async () => {
    await using stand = await open();
    const id = await stand.add();
    await fail(stand, id);
    await leave(stand, id, inconclusive(null, "no answer"));
    expect(await stand.remembered(id)).toMatchObject({
      unknownTimes: 1,
      errorTimes: 0,
      errorCause: null,
      errorRetry: null,
    });
  });

  for (const [what, seed, changes] of CHANGED) {
    it(`starts anew, with the deadline of now, when the run ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add(seed);
      await leave(stand, id, DARK);
      await stand.pass(2 * HOUR_MS);
      await stand.change(id, { ...changes, overdueMin: 2 });
      // What a caller would carry over by mistake does not survive either.
      await leave(stand, id, { ...PRESUMED, observed: false, unknownTimes: 1, held: true });
      const { beganMin: _, ...ids } = changes;
      expect(await stand.remembered(id)).toMatchObject({
        ...ids,
        firstDeadline: 2,
        presumedLast: null,
        unknownSince: 0,
        heldSince: 0,
      });
    });
  }

  const details: readonly (readonly [string, string | null, string | null])[] = [
    ["leaves status_detail alone when there is nothing to say", null, '{"old": 1}'],
    ["writes what there is to say into status_detail", '{"new": 1}', '{"new": 1}'],
    ["writes JSON null into status_detail when told to", "null", "null"],
  ];
  for (const [name, statusDetail, expected] of details) {
    it(name, async () => {
      await using stand = await open();
      const id = await stand.add({ statusDetail: '{"old": 1}' });
      const write = deferring(await read(stand, id), { statusDetail });
      expect(await stand.store.defer(write, stand.fence)).toEqual(WRITTEN);
      expect((await stand.run(id))?.statusDetail).toBe(expected);
    });
  }
}

const CHANGED: readonly (readonly [string, StandRun, RunChange])[] = [
  ["has another sandbox", {}, { sandboxId: "new" }],
  ["has another command", {}, { bashCommandId: "new" }],
  ["lost its sandbox", {}, { sandboxId: null }],
  ["lost its command", {}, { bashCommandId: null }],
  ["got a sandbox", { sandboxId: null }, { sandboxId: "new" }],
  ["got a command", { bashCommandId: null }, { bashCommandId: "new" }],
  ["was started anew in its row", {}, { beganMin: 1 }],
];
