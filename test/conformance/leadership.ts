import { expect, it } from "vitest";
import type { ApiThrottle } from "../../src/watchdog/ports.ts";
import type { EpochAnswer } from "../../src/watchdog/store-ports.ts";
import { MIN_MS, requestOf, type StoreStand } from "../support/stands/store-stand.ts";
import { FREELY, noCheck } from "../support/stands/stores.ts";

const ASKED: ApiThrottle = { pausedForMs: 10 * MIN_MS, concurrency: 2 };

/** What every leadership row promises of what the shared API asked for, and of the last sweep. */
export function describeThrottle(open: () => Promise<StoreStand>): void {
  it("hands a first leader none", async () => {
    await using stand = await open();
    expect(await begin(stand)).toMatchObject({ throttle: FREELY });
  });

  it("hands the next leader what is left of a pause, and the concurrency", async () => {
    await using stand = await open();
    await stand.leadership.progress(stand.fence, ASKED);
    await stand.pass(4 * MIN_MS);
    const { pausedForMs, concurrency } = await throttleOf(stand);
    expect(concurrency).toBe(2);
    expect(pausedForMs).toBeLessThanOrEqual(6 * MIN_MS);
    expect(pausedForMs).toBeGreaterThan(5 * MIN_MS);
  });

  it("hands over no pause that has ended, but the concurrency", async () => {
    await using stand = await open();
    await stand.leadership.progress(stand.fence, ASKED);
    await stand.pass(11 * MIN_MS);
    expect(await throttleOf(stand)).toEqual({ pausedForMs: 0, concurrency: 2 });
  });

  it("hands a partial sweep the same, and leaves it for the one after", async () => {
    await using stand = await open();
    await stand.leadership.progress(stand.fence, { pausedForMs: 0, concurrency: 3 });
    const partial = requestOf(stand, { trigger: "once", full: false });
    for (const request of [partial, partial]) {
      expect(await stand.leadership.begin(request, noCheck)).toMatchObject({
        throttle: { concurrency: 3 },
      });
    }
  });

  it("forgets what the API does not ask for any more, while a sweep goes on and at its end", async () => {
    await using stand = await open();
    await stand.leadership.progress(stand.fence, ASKED);
    await stand.leadership.progress(stand.fence, FREELY);
    expect(await throttleOf(stand)).toEqual(FREELY);
    const fence = await stand.takeOver();
    await stand.leadership.progress(fence, ASKED);
    await stand.leadership.finish(fence, {}, FREELY);
    expect(await throttleOf(stand)).toEqual(FREELY);
  });

  it("keeps what the API asks for at the end of a sweep", async () => {
    await using stand = await open();
    await stand.leadership.finish(stand.fence, {}, { pausedForMs: 0, concurrency: 1 });
    expect(await throttleOf(stand)).toEqual({ pausedForMs: 0, concurrency: 1 });
  });

  it("takes nothing from a leader of the past", async () => {
    await using stand = await open();
    const fence = await stand.takeOver();
    await stand.leadership.progress(fence, { pausedForMs: 0, concurrency: 5 });
    expect(await stand.leadership.progress(stand.fence, ASKED)).toBe(false);
    expect(await stand.leadership.finish(stand.fence, { status: "ok" }, ASKED)).toBe(false);
    expect(await throttleOf(stand)).toEqual({ pausedForMs: 0, concurrency: 5 });
    expect((await stand.leadership.read(stand.shard.index)).lastStatus).toBeNull();
  });

  it("tells who took the newest epoch, without the token of the lease", async () => {
    await using stand = await open();
    const leaseValue = "host-9/4711/cd34/secret-token";
    await stand.leadership.begin(requestOf(stand, { leaseValue }), noCheck);
    expect((await stand.leadership.read(stand.shard.index)).holder).toBe("host-9/4711/cd34");
  });

  const reports: readonly (readonly [string, object, string | null])[] = [
    ["what it came to", { status: "held", counts: {} }, "held"],
    ["nothing when its report does not say", { counts: {} }, null],
  ];
  for (const [what, report, lastStatus] of reports) {
    it(`tells of the last sweep ${what}`, async () => {
      await using stand = await open();
      expect((await stand.leadership.read(stand.shard.index)).lastStatus).toBeNull();
      await stand.leadership.finish(stand.fence, report, FREELY);
      expect((await stand.leadership.read(stand.shard.index)).lastStatus).toBe(lastStatus);
    });
  }
}

async function begin(stand: StoreStand): Promise<EpochAnswer> {
  return stand.leadership.begin(requestOf(stand, { trigger: "once" }), noCheck);
}

async function throttleOf(stand: StoreStand): Promise<ApiThrottle> {
  const answer = await begin(stand);
  if (answer.kind !== "begun") throw new Error(`no epoch: ${answer.kind}`);
  return answer.throttle;
}
