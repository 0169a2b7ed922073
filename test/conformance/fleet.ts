import { expect, it } from "vitest";
import type { WorkerIntroduction } from "../../src/watchdog/fleet-ports.ts";
import { MIN_MS, queryOf, requestOf, type StoreStand } from "../support/stands/store-stand.ts";
import { completing, deferring, noCheck } from "../support/stands/stores.ts";

const REQUEST = { forMs: 10 * MIN_MS, reason: "moving the API", by: "ann@host" };

/** What every implementation promises of a pause. */
export function describePauses(open: () => Promise<StoreStand>): void {
  it("is none before somebody asks for one", async () => {
    await using stand = await open();
    expect((await stand.leadership.read()).lastPause).toBeNull();
    expect(await stand.fleet.resume("ben@host")).toBeNull();
    expect(await stand.pauses()).toEqual([]);
  });

  it("says until when, why and who, and stands in its journal", async () => {
    await using stand = await open();
    const pause = await stand.fleet.pause(REQUEST);
    expect(pause).toMatchObject({ reason: "moving the API", by: "ann@host" });
    expect(pause.until).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(pause.leftMs).toBe(10 * MIN_MS);
    const { lastPause } = await stand.leadership.read();
    expect(lastPause).toEqual({ ...pause, leftMs: expect.any(Number) });
    expect(lastPause?.leftMs).toBeGreaterThan(9 * MIN_MS);
    expect(await stand.pauses()).toEqual([
      { until: -10, reason: "moving the API", by: "ann@host" },
    ]);
  });

  for (const request of [{}, { trigger: "once" }, { trigger: "once", full: false }] as const) {
    it(`hands out no epoch: ${JSON.stringify(request)}`, async () => {
      await using stand = await open();
      await stand.fleet.pause(REQUEST);
      const { index } = stand.shard;
      const before = await stand.leadership.read(index);
      expect(await stand.leadership.begin(requestOf(stand, request), noCheck)).toMatchObject({
        kind: "paused",
        pause: { reason: "moving the API", by: "ann@host" },
      });
      expect((await stand.leadership.read(index)).epoch).toBe(before.epoch);
    });
  }

  it("takes the right to write from the sweep under way", async () => {
    await using stand = await open();
    const { store, fence, leadership } = stand;
    const [first, second] = [await stand.add(), await stand.add()];
    const query = await queryOf(stand);
    const runs = await Promise.all([first, second].map((id) => store.read(id, query)));
    await stand.fleet.pause(REQUEST);
    for (const run of runs) {
      if (run === null) throw new Error("it is there");
      expect(await store.apply(completing(run), fence)).toEqual({ kind: "none" });
      expect(await store.defer(deferring(run), fence)).toEqual({ kind: "none" });
      expect(await store.facts(run, fence)).toMatchObject({ epochIsOurs: false });
    }
    const throttle = { pausedForMs: 0, concurrency: null };
    expect(await leadership.progress(fence, throttle)).toBe(false);
    expect(await leadership.finish(fence, {}, throttle)).toBe(false);
    expect((await stand.run(first))?.status).toBe("RUNNING");
    expect(await stand.remembered(second)).toBeNull();
  });

  it("ends by itself", async () => {
    await using stand = await open();
    await stand.fleet.pause(REQUEST);
    await stand.pass(11 * MIN_MS);
    const { lastPause } = await stand.leadership.read();
    expect(lastPause?.leftMs).toBeLessThanOrEqual(-MIN_MS + 5000);
    expect(await stand.leadership.begin(requestOf(stand), noCheck)).toMatchObject({
      kind: "begun",
    });
    expect(await stand.fleet.resume("ben@host")).toBeNull();
    expect(await stand.pauses()).toHaveLength(1);
  });

  it("ends when somebody says so, who is noted as well", async () => {
    await using stand = await open();
    await stand.fleet.pause(REQUEST);
    expect(await stand.fleet.resume("ben@host")).toMatchObject({ by: "ann@host" });
    expect((await stand.leadership.read()).lastPause?.leftMs).toBeLessThanOrEqual(0);
    expect(await stand.leadership.begin(requestOf(stand), noCheck)).toMatchObject({
      kind: "begun",
    });
    expect((await stand.pauses()).at(-1)).toEqual({ until: null, reason: null, by: "ben@host" });
    expect(await stand.fleet.resume("ben@host")).toBeNull();
  });

  it("is replaced by a later one, longer or shorter", async () => {
    await using stand = await open();
    await stand.fleet.pause(REQUEST);
    await stand.fleet.pause({ forMs: 3 * MIN_MS, reason: "nearly done", by: "ben@host" });
    expect((await stand.leadership.read()).lastPause).toMatchObject({ by: "ben@host" });
    await stand.pass(4 * MIN_MS);
    expect(await stand.leadership.begin(requestOf(stand), noCheck)).toMatchObject({
      kind: "begun",
    });
    expect(await stand.pauses()).toHaveLength(2);
  });
}

const WORKER: WorkerIntroduction = {
  holder: "host-1/4711/ab12",
  version: "1.2.3",
  fingerprint: "0123456789ab",
  leaseKind: "redis",
  shards: 4,
  upMs: 5 * MIN_MS,
};

/** What every implementation promises of the list of workers. */
export function describeWorkers(open: () => Promise<StoreStand>): void {
  it("tells who was seen, how long they run, and the newest first", async () => {
    await using stand = await open();
    expect(await stand.fleet.workers()).toEqual([]);
    await stand.fleet.seen(WORKER);
    await stand.pass(2 * MIN_MS);
    await stand.fleet.seen({ ...WORKER, holder: "host-2/1/cd34", leaseKind: "postgres", upMs: 0 });
    const [second, first] = await stand.fleet.workers();
    expect(second).toMatchObject({ holder: "host-2/1/cd34", leaseKind: "postgres" });
    expect(first).toMatchObject({ ...WORKER, upMs: expect.any(Number) });
    expect(Math.round((first?.upMs ?? 0) / MIN_MS)).toBe(7);
    expect(Math.round((first?.seenAgoMs ?? 0) / MIN_MS)).toBe(2);
  });

  it("keeps when a worker started, and takes everything else as it says now", async () => {
    await using stand = await open();
    await stand.fleet.seen(WORKER);
    await stand.pass(MIN_MS);
    await stand.fleet.seen({ ...WORKER, fingerprint: "ffffffffffff", upMs: 0 });
    const workers = await stand.fleet.workers();
    expect(workers).toMatchObject([{ holder: WORKER.holder, fingerprint: "ffffffffffff" }]);
    expect(Math.round((workers[0]?.upMs ?? 0) / MIN_MS)).toBe(6);
    expect(workers[0]?.seenAgoMs).toBeLessThan(MIN_MS);
  });

  it("forgets a worker that leaves, and no other", async () => {
    await using stand = await open();
    await stand.fleet.seen(WORKER);
    await stand.fleet.seen({ ...WORKER, holder: "host-2/1/cd34" });
    await stand.fleet.left("host-2/1/cd34");
    expect(await stand.fleet.workers()).toMatchObject([{ holder: WORKER.holder }]);
  });

  it("forgets those that were not seen for the given time, and nobody who was", async () => {
    await using stand = await open();
    await stand.fleet.seen(WORKER);
    await stand.pass(2 * MIN_MS);
    await stand.fleet.seen({ ...WORKER, holder: "host-2/1/cd34" });
    await stand.pass(MIN_MS);
    expect(await stand.fleet.forgetWorkers(4 * MIN_MS, stand.fence)).toBe(0);
    expect(await stand.fleet.forgetWorkers(2 * MIN_MS, stand.fence)).toBe(1);
    expect(await stand.fleet.workers()).toMatchObject([{ holder: "host-2/1/cd34" }]);
  });

  it("lets a leader of the past forget nobody", async () => {
    await using stand = await open();
    await stand.fleet.seen(WORKER);
    await stand.pass(2 * MIN_MS);
    await stand.takeOver();
    expect(await stand.fleet.forgetWorkers(MIN_MS, stand.fence)).toBe(0);
  });
}
