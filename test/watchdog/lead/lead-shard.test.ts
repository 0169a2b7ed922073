import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { remainder } from "../../support/memory/memory-runs.ts";
import { GONE, SILENT } from "../../support/stands/guard-stand.ts";
import { OPTIONS, reportOf, sweepWorld } from "../../support/stands/sweep-world.ts";

const COUNT = 4;
const DIVIDED = { ...OPTIONS, shards: COUNT };
const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };

describe("leadSweep of one shard", () => {
  it("takes up the runs of its shard alone, under its own epoch", async () => {
    const { db, backend, lead, lease } = await divided();
    const runs = Array.from({ length: 20 }, () => db.add());
    for (const { id } of runs) backend.says(id, EXITED);
    const firstLease = vi.spyOn(lease, "acquire");
    const report = reportOf(await lead(shard(2), {}, DIVIDED));
    const own = runs.filter(({ id }) => remainder(id, COUNT) === 2).map(({ id }) => id);
    expect(report.counts).toMatchObject({ stale: own.length, completed: own.length });
    expect(db.verdicts.map(({ runId }) => runId).toSorted()).toEqual(own);
    expect(db.verdicts.every((row) => row.shard === 2 && row.epoch === report.epoch)).toBe(true);
    expect(firstLease).not.toHaveBeenCalled();
  });

  it("leaves a confirmed presumption to the first shard's next sweep, which it does not keep waiting", async () => {
    const { db, backend, lead, clock } = await divided();
    const run = runIn(db, 2);
    backend.says(run.id, GONE);
    // One observation is enough here.
    const report = reportOf(await lead(shard(2), {}, DIVIDED));
    expect(report.counts).toMatchObject({ suspected: 1, held: 0, failed: 0 });
    expect(db.verdicts).toEqual([]);
    expect(db.suspicions.get(run.id)).toMatchObject({ presumedTimes: 1, heldSinceMs: null });
    await clock.advance(1);
    for (const { id } of [runIn(db, 0), runIn(db, 0)]) backend.says(id, EXITED);
    const first = reportOf(await lead(shard(0), {}, DIVIDED));
    expect(first.counts).toMatchObject({ failed: 1 });
    expect(db.verdicts).toContainEqual(
      expect.objectContaining({ runId: run.id, basis: "presumption", shard: 0 }),
    );
  });

  it("leaves a run that was silent for too long to the first shard as well", async () => {
    const { db, backend, lead } = await divided();
    const run = runIn(db, 2);
    const { unverifiableAfterMs } = OPTIONS.sweep.policy;
    db.change(run.id, { beganAtMs: db.nowMs() - 2 * unverifiableAfterMs });
    db.suspect(run.id, { unknownTimes: 9, unknownSinceMs: db.nowMs() - unverifiableAfterMs });
    backend.says(run.id, SILENT);
    const other = reportOf(await lead(shard(2), {}, DIVIDED));
    expect(other.counts.stale).toBe(0);
    for (const { id } of [runIn(db, 0), runIn(db, 0)]) backend.says(id, EXITED);
    const first = reportOf(await lead(shard(0), {}, DIVIDED));
    expect(first.counts).toMatchObject({ failed: 1 });
  });

  it("cleans up nothing, forgets nothing and counts nothing that concerns all runs", async () => {
    const { db, lead, store, journal } = await divided();
    db.addVerdict();
    const once = [
      vi.spyOn(journal, "claimCleanups"),
      vi.spyOn(journal, "prune"),
      vi.spyOn(journal, "pendingCleanups"),
      vi.spyOn(store, "dropSuspicions"),
      vi.spyOn(store, "backlog"),
      vi.spyOn(store, "waiting"),
      vi.spyOn(store, "guardFacts"),
    ];
    reportOf(await lead(shard(2), {}, DIVIDED));
    for (const call of once) expect(call).not.toHaveBeenCalled();
    reportOf(await lead(shard(0), {}, DIVIDED));
    for (const call of once) expect(call).toHaveBeenCalled();
  });

  it("counts for the guard what the other shards got answers for", async () => {
    const { db, backend, lead, clock } = await divided();
    // Few in the fleet, and a mass among the runs of the first shard alone.
    const onScene = vi.fn();
    for (let number = 0; number < 9; number += 1) backend.says(runIn(db, 0).id, GONE);
    for (let number = 0; number < 30; number += 1) backend.says(runIn(db, 2).id, EXITED);
    backend.says(runIn(db, 0).id, EXITED);
    reportOf(await lead(shard(2), {}, DIVIDED));
    await clock.advance(1);
    const report = reportOf(await lead(shard(0), { onScene }, DIVIDED));
    expect(onScene.mock.lastCall?.[0]).toMatchObject({ answered: 40, presumed: 9 });
    expect(report.counts).toMatchObject({ failed: 9, held: 0 });
  });

  it("holds a mass that the other shards do not outweigh any more", async () => {
    const { db, backend, lead, clock } = await divided();
    for (let number = 0; number < 9; number += 1) backend.says(runIn(db, 0).id, GONE);
    for (let number = 0; number < 30; number += 1) backend.says(runIn(db, 2).id, EXITED);
    backend.says(runIn(db, 0).id, EXITED);
    reportOf(await lead(shard(2), {}, DIVIDED));
    // What was heard that long ago says nothing of now.
    await clock.advance(121_000);
    const report = reportOf(await lead(shard(0), {}, DIVIDED));
    expect(report.counts).toMatchObject({ failed: 0, held: 9 });
  });
});

describe("leadSweep of all runs of a fleet that divides them", () => {
  it("takes all leases and epochs, and sweeps as if they were not divided", async () => {
    const { db, backend, lead, lease } = await divided();
    const runs = Array.from({ length: 20 }, () => db.add());
    for (const { id } of runs) backend.says(id, EXITED);
    const before = [0, 1, 2, 3].map((index) => db.lead(index).epoch);
    const held: (string | null)[] = [];
    const onBegin = () => {
      for (const index of [0, 1, 2, 3]) held.push(lease.ofShard(index).holderOf("7d0c1d8e"));
    };
    const report = reportOf(await lead({ trigger: "once" }, { onBegin }, DIVIDED));
    expect(report.counts.completed).toBe(20);
    expect(db.verdicts.every((row) => row.shard === 0)).toBe(true);
    expect(held.every((value) => value?.startsWith(OPTIONS.holder))).toBe(true);
    expect([0, 1, 2, 3].map((index) => db.lead(index).epoch)).toEqual(
      before.map((epoch) => epoch + 1),
    );
    for (const index of [0, 1, 2, 3]) {
      expect(lease.ofShard(index).holderOf("7d0c1d8e")).toBeNull();
    }
  });

  it("begins nothing while somebody leads a shard, and says which one", async () => {
    const { db, lead, lease } = await divided();
    await lease.ofShard(3).acquire("7d0c1d8e", "host-2/1/cd34/token", 15_000);
    const before = db.leadership.epoch;
    expect(await lead({ trigger: "once" }, {}, DIVIDED)).toEqual({
      kind: "lease-held",
      holder: "host-2/1/cd34",
      heldForMs: null,
      expiresInMs: 15_000,
      shard: 3,
    });
    expect(db.leadership.epoch).toBe(before);
    expect(lease.holderOf("7d0c1d8e")).toBeNull();
  });

  it("measures a partial sweep by what all shards last got answers for", async () => {
    const { db, backend, lead } = await divided();
    for (const index of [0, 2]) {
      for (let number = 0; number < 15; number += 1) backend.says(runIn(db, index).id, EXITED);
      reportOf(await lead(shard(index), {}, DIVIDED));
    }
    const onScene = vi.fn();
    const run = runIn(db, 1);
    backend.says(run.id, GONE);
    reportOf(await lead({ trigger: "once", runIds: [run.id] }, { onScene }, DIVIDED));
    expect(onScene.mock.lastCall?.[0]).toMatchObject({ answered: 30, presumed: 1 });
  });
});

function shard(index: number) {
  return { shard: { index, count: COUNT } };
}

/** A world whose fleet has noted how it divides the runs. */
async function divided() {
  const world = sweepWorld();
  reportOf(await world.lead({ ...shard(0), trigger: "once" }, {}, DIVIDED));
  await world.clock.advance(60_000);
  return world;
}

/** A stale run of that shard. */
function runIn(db: Awaited<ReturnType<typeof divided>>["db"], index: number) {
  let run = db.add();
  while (remainder(run.id, COUNT) !== index) {
    db.change(run.id, { status: "COMPLETED" });
    run = db.add();
  }
  return run;
}
