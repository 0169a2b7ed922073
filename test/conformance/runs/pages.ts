import { expect, it } from "vitest";
import { inconclusive } from "../../../src/rules/suspicion.ts";
import type { PageCursor, StaleQuery } from "../../../src/watchdog/store-ports.ts";
import { MIN_MS, queryOf, type StoreStand } from "../../support/stands/store-stand.ts";
import { fail, HOUR_MS, leave, PRESUMED } from "../../support/stands/store-steps.ts";

const DAY_MIN = 24 * 60;

/** What the pages of every run store promise about runs that earlier sweeps left RUNNING. */
export function describePages(open: () => Promise<StoreStand>): void {
  it("end with the runs without a deadline when suspected ones are not asked for", async () => {
    await using stand = await open();
    const untimed = await stand.add({ overdueMin: null, beganMin: 2 * DAY_MIN });
    const overdue = await stand.add();
    const suspected = await stand.add();
    await presume(stand, suspected);
    const query = await queryOf(stand);
    expect(await allPages(stand, query, 1)).toEqual([overdue, untimed]);
    expect(await stand.store.stalePage(query, { part: "no-deadline", id: null }, 9)).toEqual({
      ids: [untimed],
      next: null,
    });
  });

  it("give suspected runs whose deadline was moved last, by id, once, whatever the size of a page", async () => {
    await using stand = await open();
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      ids.push(await stand.add({ overdueMin: 5 - index }));
    }
    for (const id of ids) await presume(stand, id);
    await stand.pass(MIN_MS);
    const overdue = await stand.add();
    const untimed = await stand.add({ overdueMin: null, beganMin: 2 * DAY_MIN });
    const query = await queryOf(stand, { includeSuspected: true });
    for (let size = 1; size <= 8; size += 1) {
      expect(await allPages(stand, query, size)).toEqual([overdue, untimed, ...ids]);
    }
    const last: PageCursor = { part: "suspected", id: ids.at(-1) ?? "" };
    expect(await stand.store.stalePage(query, last, 1)).toEqual({ ids: [], next: null });
  });

  it("give a suspected run that is overdue again once, in its place", async () => {
    await using stand = await open();
    const id = await stand.add();
    await presume(stand, id);
    await stand.pass(2 * HOUR_MS);
    const query = await queryOf(stand, { includeSuspected: true });
    expect(await allPages(stand, query, 1)).toEqual([id]);
  });

  const notSuspected: readonly (readonly [string, (stand: StoreStand, id: string) => unknown])[] = [
    ["was seen alive", (stand, id) => leave(stand, id)],
    ["gave no answer", (stand, id) => leave(stand, id, inconclusive(null, "no answer"))],
    [
      "has ended since",
      async (stand, id) => {
        await presume(stand, id);
        await stand.change(id, { status: "COMPLETED" });
      },
    ],
    [
      "has another sandbox since",
      async (stand, id) => {
        await presume(stand, id);
        await stand.change(id, { sandboxId: "new" });
      },
    ],
    [
      "lost its command since",
      async (stand, id) => {
        await presume(stand, id);
        await stand.change(id, { bashCommandId: null });
      },
    ],
    [
      "waits after a failure",
      async (stand, id) => {
        await presume(stand, id);
        await fail(stand, id);
      },
    ],
    ["is not overdue and was never deferred", (stand, id) => stand.change(id, { overdueMin: -60 })],
  ];
  for (const [what, make] of notSuspected) {
    it(`do not give as suspected a run that ${what}`, async () => {
      await using stand = await open();
      const suspected = await stand.add();
      await presume(stand, suspected);
      await make(stand, await stand.add());
      await stand.pass(MIN_MS);
      const query = await queryOf(stand, { includeSuspected: true });
      expect(await allPages(stand, query, 9)).toEqual([suspected]);
    });
  }

  it("do not give a run again that this sweep suspected itself", async () => {
    await using stand = await open();
    const id = await stand.add();
    await stand.pass(MIN_MS);
    const query = await queryOf(stand, { includeSuspected: true });
    await presume(stand, id);
    expect(await allPages(stand, query, 9)).toEqual([]);
    await stand.pass(MIN_MS);
    const later = await queryOf(stand, { includeSuspected: true });
    expect(await allPages(stand, later, 9)).toEqual([id]);
  });

  it("leave out a run that failed to be handled until its time has come", async () => {
    await using stand = await open();
    const failing = await stand.add({ overdueMin: 3 });
    const untimed = await stand.add({ overdueMin: null, beganMin: 2 * DAY_MIN });
    const other = await stand.add();
    for (const runId of [failing, untimed]) {
      await stand.store.noteError({ runId, cause: "c", retryInMs: 10 * MIN_MS }, stand.fence);
    }
    await stand.pass(9 * MIN_MS);
    expect(await allPages(stand, await queryOf(stand), 1)).toEqual([other]);
    await stand.pass(2 * MIN_MS);
    expect(await allPages(stand, await queryOf(stand), 1)).toEqual([failing, other, untimed]);
  });

  it("give a run whose failure was about another sandbox", async () => {
    await using stand = await open();
    const id = await stand.add();
    await fail(stand, id);
    await stand.change(id, { sandboxId: "new" });
    expect(await allPages(stand, await queryOf(stand), 9)).toEqual([id]);
  });

  it("leave out many failures in a row without stopping at them", async () => {
    await using stand = await open();
    for (let index = 0; index < 6; index += 1) {
      const runId = await stand.add({ overdueMin: 20 - index });
      await fail(stand, runId);
    }
    const behind = await stand.add();
    expect(await allPages(stand, await queryOf(stand), 2)).toEqual([behind]);
  });
}

function presume(stand: StoreStand, id: string): Promise<void> {
  return leave(stand, id, PRESUMED);
}

async function allPages(
  { store }: StoreStand,
  query: StaleQuery,
  size: number,
): Promise<readonly string[]> {
  const ids: string[] = [];
  let page = await store.stalePage(query, null, size);
  while (page.next !== null) {
    expect(page.ids.length).toBeLessThanOrEqual(size);
    ids.push(...page.ids);
    page = await store.stalePage(query, page.next, size);
  }
  return [...ids, ...page.ids];
}
