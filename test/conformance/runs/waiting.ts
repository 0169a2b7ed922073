import { expect, it } from "vitest";
import { NOBODY_WAITS, type Waiting } from "../../../src/rules/report.ts";
import { CLEARED, inconclusive } from "../../../src/rules/suspicion.ts";
import {
  MIN_MS,
  queryOf,
  type RunChange,
  type StoreStand,
} from "../../support/stands/store-stand.ts";
import { DARK, fail, HOUR_MS, leave, PRESUMED } from "../../support/stands/store-steps.ts";

const MINT = "service_api mint_api_key: HTTP 401";
const LOOKUP = "sandbox_api get_sandbox: HTTP 503";

/** What every run store promises of the count of runs that wait. */
export function describeWaiting(open: () => Promise<StoreStand>): void {
  it("is empty as long as no run was left RUNNING, stale or not", async () => {
    await using stand = await open();
    await stand.add({ overdueMin: 5 });
    await stand.add({ overdueMin: -5 });
    expect(await stand.store.waiting()).toEqual(NOBODY_WAITS);
  });

  it("counts each run once, by what is known of it", async () => {
    await using stand = await open();
    await leave(stand, await stand.add(), CLEARED);
    await leave(stand, await stand.add(), PRESUMED);
    await leave(stand, await stand.add(), { ...inconclusive(null, MINT), presumedTimes: 1 });
    const failing = await stand.add();
    await leave(stand, failing, inconclusive(null, LOOKUP));
    await fail(stand, failing);
    await leave(stand, await stand.add(), DARK);
    expect(await waiting(stand)).toEqual({
      alive: 1,
      suspected: 1,
      held: 1,
      unanswered: 1,
      failing: 1,
      next: 60,
      causes: [{ cause: MINT, count: 1 }],
      failures: [{ cause: "status 500", count: 1 }],
    });
  });

  it("counts a run that was not asked about as one without an answer, with the last cause there was", async () => {
    await using stand = await open();
    const [alive, asked] = [await stand.add(), await stand.add()];
    await leave(stand, alive, CLEARED);
    await leave(stand, asked, inconclusive(null, MINT));
    await stand.pass(2 * HOUR_MS);
    const causes = { [alive]: "not asked: a", [asked]: "not asked: b" };
    const deferral = { deferMs: HOUR_MS, shieldMs: 0, causes };
    const query = await queryOf(stand);
    await stand.store.deferSkipped([alive, asked], query, deferral, stand.fence);
    expect(await waiting(stand)).toMatchObject({
      alive: 0,
      unanswered: 2,
      causes: [
        { cause: "not asked: a", count: 1 },
        { cause: MINT, count: 1 },
      ],
    });
    await stand.pass(2 * HOUR_MS);
    await leave(stand, alive, CLEARED);
    expect(await waiting(stand)).toMatchObject({ alive: 1, unanswered: 1 });
  });

  it("leaves out what a sweep at a horizon takes up", async () => {
    await using stand = await open();
    const [due, later] = [await stand.add(), await stand.add()];
    await leave(stand, due, DARK);
    await stand.pass(2 * HOUR_MS);
    await leave(stand, later, inconclusive(null, MINT));
    const horizon = await stand.leadership.horizon();
    expect(await stand.store.waiting(horizon)).toMatchObject({ held: 0, unanswered: 1 });
    expect(await stand.store.waiting()).toMatchObject({ held: 1, unanswered: 1 });
  });

  it("groups runs without an answer by cause, the most frequent first", async () => {
    await using stand = await open();
    for (const cause of [MINT, LOOKUP, LOOKUP]) {
      await leave(stand, await stand.add(), inconclusive(null, cause));
    }
    expect(await waiting(stand)).toMatchObject({
      unanswered: 3,
      causes: [
        { cause: LOOKUP, count: 2 },
        { cause: MINT, count: 1 },
      ],
    });
  });

  it("shows at most 20 causes", async () => {
    await using stand = await open();
    for (let number = 100; number < 121; number += 1) {
      await leave(stand, await stand.add(), inconclusive(null, `HTTP ${number}`));
    }
    const { unanswered, causes } = await stand.store.waiting();
    expect(unanswered).toBe(21);
    expect(causes.map(({ cause }) => cause)).toEqual(
      Array.from({ length: 20 }, (_, index) => `HTTP ${100 + index}`),
    );
  });

  it("says that there was no answer where the cause was not written down", async () => {
    await using stand = await open();
    const suspicion = { ...inconclusive(null, MINT), unknownCause: null };
    await leave(stand, await stand.add(), suspicion);
    const { causes } = await stand.store.waiting();
    expect(causes).toEqual([{ cause: "no usable answer", count: 1 }]);
  });

  it("tells the first next look: our own, the deadline that the host moved, or the next attempt", async () => {
    await using stand = await open();
    const [looked, moved, failing] = [await stand.add(), await stand.add(), await stand.add()];
    await leave(stand, looked, CLEARED, 5 * MIN_MS);
    await stand.pass(30 * MIN_MS);
    expect(await waiting(stand)).toMatchObject({ alive: 1, next: 30 });
    await leave(stand, moved);
    await stand.change(moved, { overdueMin: -10 });
    expect(await waiting(stand)).toMatchObject({ alive: 2, next: 10 });
    await stand.change(moved, { overdueMin: -90 });
    await stand.change(looked, { status: "COMPLETED" });
    await fail(stand, failing);
    expect(await waiting(stand)).toMatchObject({ alive: 1, failing: 1, next: 60 });
  });

  const changes: readonly (readonly [string, RunChange])[] = [
    ["has ended", { status: "COMPLETED" }],
    ["has another sandbox", { sandboxId: "new" }],
    ["has another command", { bashCommandId: "new" }],
    ["has another start", { beganMin: 3 }],
  ];
  for (const [what, change] of changes) {
    it(`does not count a run that ${what}`, async () => {
      await using stand = await open();
      const id = await stand.add();
      await leave(stand, id, DARK);
      await fail(stand, id);
      await stand.change(id, change);
      expect(await stand.store.waiting()).toEqual(NOBODY_WAITS);
    });
  }

  it("does not let a look in the past hide that others wait", async () => {
    await using stand = await open();
    await leave(stand, await stand.add(), DARK);
    await stand.pass(2 * HOUR_MS);
    expect(await waiting(stand)).toMatchObject({ held: 1, next: -60 });
  });
}

/** With the minutes until the first next look. */
async function waiting(
  stand: StoreStand,
): Promise<Omit<Waiting, "nextLookAt"> & { readonly next: number | null }> {
  const { nextLookAt, ...rest } = await stand.store.waiting();
  const { ms } = await stand.leadership.horizon();
  const next = nextLookAt === null ? null : Math.round((Date.parse(nextLookAt) - ms) / MIN_MS);
  return { ...rest, next };
}
