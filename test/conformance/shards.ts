import fc from "fast-check";
import { expect, it } from "vitest";
import type { Shard } from "../../src/rules/fleet/shard.ts";
import { inconclusive } from "../../src/rules/suspicion.ts";
import type { Fence } from "../../src/watchdog/ports.ts";
import type { EpochRequest, RunPart } from "../../src/watchdog/store-ports.ts";
import { MIN_MS, queryOf, type StoreStand } from "../support/stands/store-stand.ts";
import { HOUR_MS, leave, PRESUMED, read } from "../support/stands/store-steps.ts";
import {
  completing,
  deferring,
  epochRequest,
  FREELY,
  HOLDER,
  leaving,
  noCheck,
} from "../support/stands/stores.ts";

const COUNT = 4;
const SECOND: Shard = { index: 1, count: COUNT };
const HELD = { ...PRESUMED, held: true };

/** What every store promises of the shards of a fleet. */
export function describeShards(open: (shard?: Shard) => Promise<StoreStand>): void {
  it("shows each stale run in the pages of exactly one shard, however many there are", async () => {
    await using stand = await open();
    const states = [null, PRESUMED, HELD, inconclusive(null, "no answer")] as const;
    for (let number = 0; number < 48; number += 1) {
      const isUntimed = number % 3 === 0;
      const id = await stand.add(isUntimed ? { overdueMin: null, beganMin: 3 * 24 * 60 } : {});
      const state = states[number % states.length] ?? null;
      if (state !== null) await leave(stand, id, state);
    }
    // Whatever was deferred is due again, and the silence is a long one.
    await stand.pass(2 * HOUR_MS);
    for (let number = 0; number < 16; number += 1) await stand.add();
    const all = await pagesOf(stand, null);
    expect(all).toHaveLength(64);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 64 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(MIN_MS, HOUR_MS, 24 * HOUR_MS),
        async (count, confirmations, unverifiableAfterMs) => {
          const limits = { count, confirmations, unverifiableAfterMs };
          const parts = Array.from({ length: count }, (_, index) => ({ ...limits, index }));
          const shown: string[] = [];
          for (const part of parts) shown.push(...(await pagesOf(stand, part)));
          expect(shown.toSorted()).toEqual(all.toSorted());
        },
      ),
      { numRuns: 8 },
    );
  });

  it("shows the first shard what could become a presumption, and the others nothing of it", async () => {
    await using stand = await open();
    const ids: string[] = [];
    for (const state of [PRESUMED, HELD, inconclusive(null, "no answer")]) {
      for (let number = 0; number < 4; number += 1) {
        const id = await stand.add();
        await leave(stand, id, state);
        ids.push(id);
      }
    }
    await stand.pass(2 * HOUR_MS);
    const part = { count: 64, confirmations: 2, unverifiableAfterMs: HOUR_MS };
    expect((await pagesOf(stand, { ...part, index: 0 })).toSorted()).toEqual(ids);
    // With more observations to come, and after a shorter silence, they are as any other run.
    const later = { ...part, index: 0, confirmations: 3, unverifiableAfterMs: 24 * HOUR_MS };
    expect((await pagesOf(stand, later)).length).toBeLessThan(ids.length);
  });

  it("has what was said of another attempt count for nothing", async () => {
    await using stand = await open();
    const ids = await Promise.all(Array.from({ length: 8 }, () => stand.add()));
    for (const id of ids) {
      await leave(stand, id, PRESUMED);
      await stand.change(id, { sandboxId: "another", overdueMin: 1 });
    }
    const part = { index: 0, count: 64, confirmations: 2, unverifiableAfterMs: HOUR_MS };
    expect((await pagesOf(stand, part)).length).toBeLessThan(ids.length);
  });

  it("begins a sweep of another shard only by what the first shard's leader has noted", async () => {
    await using stand = await open();
    const { leadership } = stand;
    const request = epochRequest({ shard: 1, shards: COUNT });
    // The stand's own fleet does not divide the runs.
    expect(await leadership.begin(request, noCheck)).toEqual({
      kind: "other-lease-kind",
      noted: { leaseKind: "redis", shards: 1 },
    });
    await leadership.clearLeaseKind(leaving(stand.fence.epoch));
    expect(await leadership.begin(request, noCheck)).toEqual({
      kind: "other-lease-kind",
      noted: null,
    });
    await begun(stand, { shard: 0, shards: COUNT });
    expect(await leadership.read(1)).toMatchObject({ leaseKind: "redis", shards: COUNT });
    expect(await leadership.begin(request, noCheck)).toMatchObject({ kind: "begun" });
  });

  it("has epochs that are nobody else's: each shard is fenced by its own", async () => {
    await using stand = await open(SECOND);
    const [first, third] = [await begun(stand, { shard: 0 }), await begun(stand, { shard: 2 })];
    for (const fence of [stand.fence, first, third]) {
      expect(await stand.leadership.progress(fence, FREELY)).toBe(true);
    }
    const newer = await begun(stand, { shard: 1 });
    expect(await stand.leadership.progress(stand.fence, FREELY)).toBe(false);
    for (const fence of [newer, first, third]) {
      expect(await stand.leadership.progress(fence, FREELY)).toBe(true);
    }
    const run = await read(stand, await stand.add());
    expect(await stand.store.apply(completing(run), stand.fence)).toEqual({ kind: "none" });
    expect(await stand.store.apply(completing(run), third)).toEqual({ kind: "written" });
  });

  it("does not take another shard's verdict for its own, although the number of the epoch is the same", async () => {
    await using stand = await open(SECOND);
    const { store, fence } = stand;
    const run = await read(stand, await stand.add());
    let other = await begun(stand, { shard: 2 });
    while (other.epoch < fence.epoch) other = await begun(stand, { shard: 2 });
    let own = fence;
    while (own.epoch < other.epoch) own = await begun(stand, { shard: 1 });
    expect(own.epoch).toBe(other.epoch);
    expect(await store.apply(completing(run), other)).toEqual({ kind: "written" });
    expect(await store.facts(run, other)).toMatchObject({ journaled: true, epochIsOurs: true });
    expect(await store.facts(run, own)).toMatchObject({ journaled: false, epochIsOurs: true });
  });

  it("refuses a tick of a shard that was swept already, and none of another shard", async () => {
    await using stand = await open(SECOND);
    const { leadership, fence } = stand;
    await leadership.finish(fence, {}, FREELY);
    const tick = (shard: number) =>
      leadership.begin(epochRequest({ shard, shards: COUNT }), noCheck);
    expect(await tick(1)).toEqual({ kind: "already-swept" });
    expect(await tick(2)).toMatchObject({ kind: "begun" });
    await stand.pass(MIN_MS);
    expect(await tick(1)).toMatchObject({ kind: "begun" });
  });

  it("is divided anew only when no shard was swept lately, and fences all who lead by the old division", async () => {
    await using stand = await open(SECOND);
    const { leadership, fence } = stand;
    const run = await read(stand, await stand.add());
    const first = await begun(stand, { shard: 0 });
    const other = epochRequest({ shards: 2, otherKindAfterMs: 2 * MIN_MS });
    await stand.pass(1.5 * MIN_MS);
    // The first shard has had its time; the second one goes on.
    await leadership.progress(fence, FREELY);
    await stand.pass(MIN_MS);
    const noted = { leaseKind: "redis", shards: COUNT };
    expect(await leadership.begin(other, noCheck)).toEqual({ kind: "other-lease-kind", noted });
    await stand.pass(1.1 * MIN_MS);
    expect(await leadership.begin(other, noCheck)).toMatchObject({ kind: "begun" });
    for (const old of [first, fence]) {
      expect(await leadership.progress(old, FREELY)).toBe(false);
      expect(await stand.store.defer(deferring(run), old)).toEqual({ kind: "none" });
    }
    expect(await leadership.begin(epochRequest({ shard: 1, shards: COUNT }), noCheck)).toEqual({
      kind: "other-lease-kind",
      noted: { leaseKind: "redis", shards: 2 },
    });
  });

  it("gives all shards to one who takes them at once", async () => {
    await using stand = await open(SECOND);
    const third = await begun(stand, { shard: 2 });
    const all = await begun(stand, { shard: 0, fencesAll: true, full: false });
    expect(await stand.leadership.progress(all, FREELY)).toBe(true);
    for (const old of [stand.fence, third]) {
      expect(await stand.leadership.progress(old, FREELY)).toBe(false);
    }
  });

  it("leaves the other shards alone with each next sweep of the first", async () => {
    await using stand = await open(SECOND);
    await begun(stand, { shard: 0 });
    expect(await stand.leadership.progress(stand.fence, FREELY)).toBe(true);
  });

  it("keeps what is noted while another worker sweeps, and forgets it when the last one goes", async () => {
    await using stand = await open(SECOND);
    const { leadership } = stand;
    await begun(stand, { shard: 0, leaseValue: "host-2/1/cd34/token" });
    const noted = async () => (await leadership.read()).leaseKind;
    const leave = (holder: string) =>
      leadership.clearLeaseKind(leaving(0, { holder, shards: COUNT }));
    // Whoever leads the first shard, or any other one.
    await leave("host-3/1/ef56");
    expect(await noted()).toBe("redis");
    await leave("host-2/1/cd34");
    expect(await noted()).toBe("redis");
    await leave(HOLDER);
    expect(await noted()).toBeNull();
  });

  it("keeps nothing for a worker whose last sweep is long ago", async () => {
    await using stand = await open(SECOND);
    await begun(stand, { shard: 0, leaseValue: "host-2/1/cd34/token" });
    await stand.pass(2 * MIN_MS);
    const holder = "host-2/1/cd34";
    await stand.leadership.clearLeaseKind(leaving(0, { holder, shards: COUNT }));
    expect((await stand.leadership.read()).leaseKind).toBeNull();
  });

  it("takes the epochs of all shards away with a pause, and begins none in it", async () => {
    await using stand = await open(SECOND);
    const fences = [
      stand.fence,
      await begun(stand, { shard: 0 }),
      await begun(stand, { shard: 3 }),
    ];
    await stand.fleet.pause({ forMs: HOUR_MS, reason: "moving the API", by: "ann@host" });
    for (const fence of fences) expect(await stand.leadership.progress(fence, FREELY)).toBe(false);
    for (let shard = 0; shard < COUNT; shard += 1) {
      const request = epochRequest({ trigger: "once", shard, shards: COUNT });
      expect(await stand.leadership.begin(request, noCheck)).toMatchObject({ kind: "paused" });
      expect((await stand.leadership.read(shard)).lastPause).toMatchObject({ by: "ann@host" });
    }
  });

  it("tells the guard for how many runs the other shards got answers that raised no suspicion", async () => {
    await using stand = await open(SECOND);
    const answered = async (withinMs: number) =>
      (await stand.store.guardFacts(2, withinMs)).othersAnswered;
    const counts = { completed: 1, failed: 2, deferred: 4, suspected: 8, held: 16, errors: 32 };
    const report = async () => {
      const { ms } = await stand.leadership.horizon();
      return { startedAt: new Date(ms).toISOString(), counts };
    };
    await stand.leadership.finish(stand.fence, await report(), FREELY);
    expect(await answered(2 * MIN_MS)).toBe(7);
    const third = await begun(stand, { shard: 2 });
    await stand.leadership.finish(third, await report(), FREELY);
    expect(await answered(2 * MIN_MS)).toBe(14);
    // Nor is what the first one has seen itself counted.
    const first = await begun(stand, { shard: 0 });
    await stand.leadership.finish(first, await report(), FREELY);
    expect(await answered(2 * MIN_MS)).toBe(14);
    expect(await answered(0)).toBe(0);
    await begun(stand, { shard: 0, fencesAll: true });
    expect(await answered(2 * MIN_MS)).toBe(0);
  });
}

async function begun(stand: StoreStand, changes: Partial<EpochRequest>): Promise<Fence> {
  const request = epochRequest({ trigger: "once", shards: COUNT, ...changes });
  const answer = await stand.leadership.begin(request, noCheck);
  if (answer.kind !== "begun") throw new Error(`no epoch: ${answer.kind}`);
  return { shard: request.shard, epoch: answer.epoch, check: noCheck };
}

async function pagesOf(stand: StoreStand, part: RunPart | null): Promise<readonly string[]> {
  const query = await queryOf(stand, { part, includeSuspected: true });
  const ids: string[] = [];
  let page = await stand.store.stalePage(query, null, 5);
  while (true) {
    ids.push(...page.ids);
    if (page.next === null) return ids;
    page = await stand.store.stalePage(query, page.next, 5);
  }
}
