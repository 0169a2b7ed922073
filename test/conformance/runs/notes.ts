import { expect, it } from "vitest";
import type { Fence } from "../../../src/watchdog/ports.ts";
import type { RunStore } from "../../../src/watchdog/store-ports.ts";
import {
  NOTHING,
  queryOf,
  type RunChange,
  type StoreStand,
} from "../../support/stands/store-stand.ts";
import { DARK, fail, HOUR_MS, leave } from "../../support/stands/store-steps.ts";

/** The host's row is not touched: nobody hides the run. */
const LEFT_ALONE = { look: null, shield: null };

/** What every run store promises of runs that could not be handled. */
export function describeFailures(open: () => Promise<StoreStand>): void {
  it("counts failures, with the last cause and the time of the next attempt, and leaves the run alone", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: 3, sandboxId: "s", bashCommandId: "c" });
    await fail(stand, id, "SQLSTATE 23514");
    const noted = { sandboxId: "s", bashCommandId: "c", firstDeadline: 3, errorRetry: -60 };
    const first = {
      ...NOTHING,
      ...LEFT_ALONE,
      ...noted,
      errorTimes: 1,
      errorCause: "SQLSTATE 23514",
    };
    expect(await stand.remembered(id)).toEqual(first);
    await stand.store.noteError(
      { runId: id, cause: "status 500", retryInMs: 2 * HOUR_MS },
      stand.fence,
    );
    const second = { ...first, errorTimes: 2, errorCause: "status 500", errorRetry: -120 };
    expect(await stand.remembered(id)).toEqual(second);
    expect(await stand.run(id)).toMatchObject({ status: "RUNNING", overdueMin: 3 });
  });

  it("keeps what else is remembered of the run", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, DARK);
    await stand.pass(2 * HOUR_MS);
    const before = await stand.remembered(id);
    await fail(stand, id, "c");
    const failure = { errorTimes: 1, errorCause: "c", errorRetry: -60, noted: 0 };
    expect(await stand.remembered(id)).toEqual({ ...before, ...failure });
    expect(before).toMatchObject({ firstDeadline: 121, presumedLast: 120, heldSince: 120 });
  });

  const changes: readonly RunChange[] = [{ sandboxId: "new" }, { bashCommandId: "new" }];
  for (const change of changes) {
    it(`starts anew when the run has another ${Object.keys(change)[0]}`, async () => {
      await using stand = await open();
      const id = await stand.add({ sandboxId: "s", bashCommandId: "c" });
      await leave(stand, id, DARK);
      await fail(stand, id);
      await stand.change(id, { ...change, overdueMin: 2 });
      await fail(stand, id, "another");
      expect(await stand.remembered(id)).toEqual({
        ...NOTHING,
        ...LEFT_ALONE,
        ...{ sandboxId: "s", bashCommandId: "c", ...change },
        firstDeadline: 2,
        errorTimes: 1,
        errorCause: "another",
        errorRetry: -60,
      });
    });
  }

  it("notes nothing of a run that has ended or is gone", async () => {
    await using stand = await open();
    const [ended, gone] = [await stand.add({ status: "FAILED" }), await stand.add()];
    await stand.remove(gone);
    for (const id of [ended, gone]) {
      await fail(stand, id);
      expect(await stand.remembered(id)).toBeNull();
    }
  });

  it("is noted while somebody else is writing the run", async () => {
    await using stand = await open();
    const id = await stand.add();
    await stand.whileLocked(id, () => fail(stand, id));
    expect(await stand.remembered(id)).toMatchObject({ errorTimes: 1 });
  });
}

/** What every run store promises of what is remembered of runs that are over. */
export function describeForgetting(open: () => Promise<StoreStand>): void {
  it("forgets runs that are gone or not RUNNING any more, and no others", async () => {
    await using stand = await open();
    const ids = [await stand.add(), await stand.add(), await stand.add(), await stand.add()];
    const [running, completed, cancelled, gone] = ids;
    for (const id of ids) await leave(stand, id, DARK);
    await stand.change(completed ?? "", { status: "COMPLETED" });
    await stand.change(cancelled ?? "", { status: "CANCELLED" });
    await stand.remove(gone ?? "");
    await stand.store.dropSuspicions(stand.fence);
    for (const id of [completed, cancelled, gone]) {
      expect(await stand.remembered(id ?? "")).toBeNull();
    }
    expect(await stand.remembered(running ?? "")).toMatchObject({ presumedTimes: 1 });
  });

  it("keeps what is remembered of a RUNNING run that has another sandbox", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, DARK);
    await stand.change(id, { sandboxId: "new" });
    await stand.store.dropSuspicions(stand.fence);
    expect(await stand.remembered(id)).toMatchObject({ presumedTimes: 1 });
  });
}

type Note = (stand: StoreStand, id: string, fence: Fence) => Promise<void>;
const NOTES: Readonly<Record<string, Note>> = {
  async deferSkipped(stand, id, fence) {
    await stand.store.deferSkipped(
      [id],
      await queryOf(stand),
      { deferMs: HOUR_MS, shieldMs: 0 },
      fence,
    );
  },
  noteError: ({ store }, runId, fence) =>
    store.noteError({ runId, cause: "c", retryInMs: HOUR_MS }, fence),
  async dropSuspicions(stand, id, fence) {
    await stand.change(id, { status: "COMPLETED" });
    await stand.store.dropSuspicions(fence);
  },
} satisfies Partial<Record<keyof RunStore, Note>>;

/** What every run store promises of notes by a worker that may not write any more. */
export function describeFencedNotes(open: () => Promise<StoreStand>): void {
  for (const [name, note] of Object.entries(NOTES)) {
    it(`changes nothing by ${name} under an epoch of the past`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await stand.change(id, { overdueMin: 4 });
      const before = await stand.remembered(id);
      await stand.takeOver();
      await note(stand, id, stand.fence);
      expect(await stand.remembered(id)).toEqual(before);
      expect(await stand.run(id)).toMatchObject({ overdueMin: 4 });
    });

    it(`sends nothing by ${name} when the fence refuses`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await stand.change(id, { overdueMin: 4 });
      const before = await stand.remembered(id);
      const reason = new Error("the lease is lost");
      const check = () => {
        throw reason;
      };
      await expect(note(stand, id, { ...stand.fence, check })).rejects.toBe(reason);
      expect(await stand.remembered(id)).toEqual(before);
      expect(await stand.run(id)).toMatchObject({ overdueMin: 4 });
    });
  }
}
