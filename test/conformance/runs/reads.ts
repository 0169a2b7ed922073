import { expect, it } from "vitest";
import { CLEARED, inconclusive } from "../../../src/rules/suspicion.ts";
import type { RunIdName } from "../../../src/watchdog/ports.ts";
import {
  MIN_MS,
  queryOf,
  type RunChange,
  type StandRun,
  type StoreStand,
} from "../../support/stands/store-stand.ts";
import { DARK, fail, HOUR_MS, leave, PRESUMED, read } from "../../support/stands/store-steps.ts";

/** What every run store promises of a run that earlier sweeps remember. */
export function describeReads(open: () => Promise<StoreStand>): void {
  it("knows nothing of a run that is met for the first time", async () => {
    await using stand = await open();
    expect((await read(stand, await stand.add())).suspicion).toBeNull();
  });

  it("shows observations, and how long ago the last one was", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, PRESUMED);
    await stand.pass(HOUR_MS);
    const { suspicion } = await read(stand, id);
    expect(suspicion).toEqual({
      presumedTimes: 1,
      presumedReason: "sandbox gone",
      sincePresumedMs: expect.any(Number),
      unknownTimes: 0,
      unknownSinceMs: null,
      errorTimes: 0,
    });
    expect(suspicion?.sincePresumedMs).toBeGreaterThanOrEqual(HOUR_MS);
    expect(suspicion?.sincePresumedMs).toBeLessThan(2 * HOUR_MS);
  });

  it("shows since when nothing could be learned, and failures", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, inconclusive(null, "no answer"));
    await stand.pass(HOUR_MS);
    await fail(stand, id);
    const { suspicion } = await read(stand, id);
    expect(suspicion).toEqual({
      presumedTimes: 0,
      presumedReason: null,
      sincePresumedMs: null,
      unknownTimes: 1,
      unknownSinceMs: expect.any(Number),
      errorTimes: 1,
    });
    const agoMs = (await stand.leadership.horizon()).ms - (suspicion?.unknownSinceMs ?? 0);
    expect(agoMs).toBeGreaterThanOrEqual(HOUR_MS);
    expect(agoMs).toBeLessThan(2 * HOUR_MS);
  });

  const changes: readonly (readonly [string, RunChange, "remembers" | "forgets"])[] = [
    ["another sandbox", { sandboxId: "new" }, "forgets"],
    ["another command", { bashCommandId: "new" }, "forgets"],
    ["no sandbox any more", { sandboxId: null }, "forgets"],
    ["no command any more", { bashCommandId: null }, "forgets"],
    ["another start", { beganMin: 3 }, "forgets"],
    ["another deadline", { overdueMin: 5 }, "remembers"],
    ["ended", { status: "FAILED" }, "remembers"],
  ];
  for (const [what, change, expected] of changes) {
    it(`${expected} what was said of a run that has ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await stand.change(id, change);
      const { suspicion } = await read(stand, id);
      if (expected === "forgets") expect(suspicion).toBeNull();
      else expect(suspicion).toMatchObject({ presumedTimes: 1, unknownTimes: 3 });
    });
  }

  it("remembers what was said of a run without sandbox and command", async () => {
    await using stand = await open();
    const id = await stand.add({ sandboxId: null, bashCommandId: null });
    await leave(stand, id, DARK);
    expect((await read(stand, id)).suspicion).toMatchObject({ presumedTimes: 1 });
  });

  it("counts a deferred run as stale for whoever includes suspected ones, and for nobody else", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id);
    await stand.change(id, { sandboxId: "new" });
    const included = await queryOf(stand, { includeSuspected: true });
    expect(await stand.store.read(id, included)).toMatchObject({ stale: true, suspicion: null });
    expect(await stand.store.read(id, await queryOf(stand))).toMatchObject({ stale: false });
  });

  it("does not count as stale what is not remembered or not RUNNING", async () => {
    await using stand = await open();
    const [alive, ended] = [await stand.add({ overdueMin: -5 }), await stand.add()];
    await leave(stand, ended, PRESUMED);
    await stand.change(ended, { status: "COMPLETED" });
    const query = await queryOf(stand, { includeSuspected: true });
    for (const id of [alive, ended]) {
      expect(await stand.store.read(id, query)).toMatchObject({ stale: false });
    }
  });
}

/** What every run store promises of the runs that a guard asks about before it believes in a mass stop. */
export function describeControlRuns(open: () => Promise<StoreStand>): void {
  it("are the runs with most time left, at most so many, with everything a question needs", async () => {
    await using stand = await open();
    const [middle, most, least] = [
      await stand.add({ overdueMin: -20 }),
      await stand.add({ overdueMin: -30, sandboxId: "s", bashCommandId: "c" }),
      await stand.add({ overdueMin: -10 }),
    ];
    expect(await controlRuns(stand, 2)).toEqual([most, middle]);
    expect(await controlRuns(stand, 9)).toEqual([most, middle, least]);
    const query = await queryOf(stand);
    const [first] = await stand.store.controlRuns(query, NEEDS, 1);
    expect({ ...first, readAt: null }).toEqual({
      ...(await stand.store.read(most, query)),
      readAt: null,
    });
  });

  const unfit: readonly (readonly [string, (stand: StoreStand) => Promise<unknown>])[] = [
    ["is stale", (stand) => stand.add()],
    ["is not RUNNING", (stand) => stand.add({ overdueMin: -60, status: "PENDING" })],
    ["is due without a deadline", (stand) => stand.add({ overdueMin: null, beganMin: 25 * 60 })],
    ["has no sandbox", (stand) => stand.add({ overdueMin: -60, sandboxId: null })],
    ["has an empty sandbox id", (stand) => stand.add({ overdueMin: -60, sandboxId: "" })],
    ["has no command", (stand) => stand.add({ overdueMin: -60, bashCommandId: null })],
    ["has an empty command id", (stand) => stand.add({ overdueMin: -60, bashCommandId: "" })],
    ["is presumed dead", async (stand) => leave(stand, await stand.add(), PRESUMED)],
    [
      "gave no answer",
      async (stand) => leave(stand, await stand.add(), inconclusive(null, "no answer")),
    ],
    [
      "could not be handled",
      async (stand) => {
        const id = await stand.add();
        await fail(stand, id);
        await stand.change(id, { overdueMin: -60 });
      },
    ],
  ];
  for (const [what, make] of unfit) {
    it(`leave out a run that ${what}`, async () => {
      await using stand = await open();
      const fit = await stand.add({ overdueMin: -5 });
      await make(stand);
      expect(await controlRuns(stand, 9)).toEqual([fit]);
    });
  }

  const idless: readonly (readonly [string, StandRun, readonly RunIdName[]])[] = [
    ["sandbox id", { sandboxId: null }, ["bashCommandId"]],
    ["command id", { bashCommandId: null }, ["sandboxId"]],
    ["command id but an empty one", { bashCommandId: "" }, ["sandboxId"]],
    ["id at all", { sandboxId: null, bashCommandId: null }, []],
  ];
  for (const [what, seed, needs] of idless) {
    it(`include a run without a ${what} where the backend needs none`, async () => {
      await using stand = await open();
      const id = await stand.add({ overdueMin: -60, ...seed });
      expect(await controlRuns(stand, 9, needs)).toEqual([id]);
      expect(await controlRuns(stand, 9)).toEqual([]);
    });
  }

  it("include runs without a deadline behind those with one, the youngest first", async () => {
    await using stand = await open();
    const [old, young] = [
      await stand.add({ overdueMin: null, beganMin: 50 }),
      await stand.add({ overdueMin: null, beganMin: 5 }),
    ];
    const timed = await stand.add({ overdueMin: -5 });
    expect(await controlRuns(stand, 9)).toEqual([timed, young, old]);
    expect(await controlRuns(stand, 2)).toEqual([timed, young]);
  });

  it("leave out a run whose deadline is our shield when its look is due", async () => {
    await using stand = await open();
    const id = await stand.add();
    await leave(stand, id, CLEARED, HOUR_MS);
    expect(await controlRuns(stand, 9)).toEqual([id]);
    await stand.pass(90 * MIN_MS);
    expect(await controlRuns(stand, 9)).toEqual([]);
  });

  it("include a run that was seen alive, and one whose suspicion was about another sandbox", async () => {
    await using stand = await open();
    const [alive, moved] = [await stand.add(), await stand.add()];
    await leave(stand, alive);
    await leave(stand, moved, PRESUMED);
    await stand.change(moved, { sandboxId: "new" });
    expect(new Set(await controlRuns(stand, 9))).toEqual(new Set([alive, moved]));
  });

  it("include a run whose deadline is the horizon, and not one that is due a moment before", async () => {
    await using stand = await open();
    const id = await stand.add({ overdueMin: -5 });
    const text = (await read(stand, id)).timeoutAt ?? "";
    const ms = Date.parse(text);
    const exactly = await queryOf(stand, { horizon: { text, ms } });
    const late = { text: new Date(ms + 1).toISOString(), ms: ms + 1 };
    const after = await queryOf(stand, { horizon: late });
    expect(await stand.store.controlRuns(exactly, NEEDS, 9)).toHaveLength(1);
    expect(await stand.store.controlRuns(after, NEEDS, 9)).toHaveLength(0);
  });
}

const NEEDS = ["sandboxId", "bashCommandId"] as const;

async function controlRuns(
  stand: StoreStand,
  limit: number,
  needs: readonly RunIdName[] = NEEDS,
): Promise<readonly string[]> {
  const found = await stand.store.controlRuns(await queryOf(stand), needs, limit);
  return found.map(({ id }) => id);
}
