import { describe, expect, it, vi } from "vitest";
import { health, shardsNeglected } from "../../../src/rules/health.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { remainder } from "../../support/memory/memory-runs.ts";
import { GONE } from "../../support/stands/guard-stand.ts";
import { shardCrew } from "../../support/stands/shard-crew.ts";

const EXITED = { kind: "exited", exitCode: 0, stdout: "", stderr: "" } as const;

describe("workers that divide the runs", () => {
  it("lead all shards where there is only one of them", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, backend, tick } = crew;
    const runs = Array.from({ length: 40 }, () => db.add());
    for (const { id } of runs) backend.says(id, EXITED);
    await settle();
    await tick();
    expect(db.verdicts).toHaveLength(40);
    for (const { runId, shard } of db.verdicts) expect(remainder(runId, 4)).toBe(shard);
    expect(db.leadership).toMatchObject({ leaseKind: "redis", shardCount: 4 });
  });

  it("share the shards while their sweeps go on", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, backend, tick, workers } = crew;
    const answer = Promise.withResolvers<typeof EXITED>();
    for (let number = 0; number < 40; number += 1) db.add();
    vi.spyOn(backend, "verify").mockReturnValue(answer.promise);
    await settle();
    await tick();
    for (const worker of workers) {
      const { holder, led, facts } = worker;
      expect(led()).toHaveLength(2);
      const leaders = led().map((shard) => facts().shards?.[shard]?.leader);
      expect(leaders).toEqual([holder, holder]);
    }
    expect(workers.flatMap((worker) => worker.led()).toSorted()).toEqual([0, 1, 2, 3]);
    answer.resolve(EXITED);
    await crew.clock.advance(0);
    expect(db.verdicts).toHaveLength(40);
    expect(workers.flatMap((worker) => worker.led())).toEqual([]);
  });

  it("hand shards over to one that comes while their sweeps go on, and keep their share", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, backend, tick, hire, workers } = crew;
    const answer = Promise.withResolvers<typeof EXITED>();
    for (let number = 0; number < 40; number += 1) db.add();
    vi.spyOn(backend, "verify").mockImplementation((_, signal) => {
      const { promise, reject } = Promise.withResolvers<typeof EXITED>();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      return Promise.race([answer.promise, promise]);
    });
    await settle();
    await tick();
    const [first] = workers;
    expect(first?.led()).toEqual([0, 1, 2, 3]);
    const second = hire(2);
    await settle();
    await tick();
    expect(first?.led()).toHaveLength(2);
    expect([...(first?.led() ?? []), ...second.led()].toSorted()).toEqual([0, 1, 2, 3]);
    const epochs = () => [0, 1, 2, 3].map((shard) => db.lead(shard).epoch);
    const before = epochs();
    await tick();
    expect(epochs()).toEqual(before);
    answer.resolve(EXITED);
    await crew.clock.advance(0);
    expect(db.verdicts).toHaveLength(40);
    expect(new Set(db.verdicts.map(({ holder }) => holder)).size).toBe(2);
    await second.stop();
  });

  it("verify no more runs at once than each of them may, in all its shards together", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, backend, tick } = crew;
    let most = 0;
    let now = 0;
    for (let number = 0; number < 40; number += 1) db.add();
    vi.spyOn(backend, "verify").mockImplementation(async (_, signal) => {
      now += 1;
      most = Math.max(most, now);
      await crew.clock.sleep(1000, signal);
      now -= 1;
      return EXITED;
    });
    await settle();
    await tick(60_000);
    expect(db.verdicts).toHaveLength(40);
    expect(most).toBe(4);
  });

  it("take over the shards of one that was killed, when its leases have run out", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, lease, tick, clock, workers } = crew;
    db.add();
    await settle();
    // Somebody else leads two shards and is never heard of again.
    const value = "host-9/1/dead/token";
    await tick();
    await clock.advance(57_500);
    for (const shard of [1, 3]) await lease.ofShard(shard).acquire("7d0c1d8e", value, 15_000);
    await tick();
    const finished = (shard: number) => workers[0]?.facts().shards?.[shard]?.fleet?.sinceFinishMs;
    const epochs = () => [0, 1, 2, 3].map((shard) => db.lead(shard).epoch);
    const before = epochs();
    await clock.advance(15_000 - 2_500 + 1_000);
    const after = epochs();
    expect([1, 3].map((shard) => (after[shard] ?? 0) - (before[shard] ?? 0))).toEqual([1, 1]);
    expect(after[0]).toBe(before[0]);
    expect(finished(1)).toBeDefined();
  });

  it("take over as soon where the leases run out right after a tick", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, deps, lease, tick, clock } = crew;
    vi.spyOn(deps.random, "fraction").mockReturnValue(0.9);
    db.add();
    await settle();
    await tick();
    await clock.advance(57_500);
    const value = "host-9/1/dead/token";
    for (const shard of [1, 3]) await lease.ofShard(shard).acquire("7d0c1d8e", value, 200);
    const epochs = () => [1, 3].map((shard) => db.lead(shard).epoch);
    const before = epochs();
    await tick(100);
    expect(epochs()).toEqual(before);
    await clock.advance(100 + 1000);
    expect(epochs()).toEqual(before.map((epoch) => epoch + 1));
  });

  it("keep what they took over from one that is still listed, while their sweeps go on", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, deps, lease, backend, tick, clock, workers } = crew;
    const answer = Promise.withResolvers<typeof EXITED>();
    for (let number = 0; number < 40; number += 1) db.add();
    vi.spyOn(backend, "verify").mockImplementation((_, signal) => {
      const { promise, reject } = Promise.withResolvers<typeof EXITED>();
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      return Promise.race([answer.promise, promise]);
    });
    const dead = { holder: "host-9/1/dead", version: "1.2.3", fingerprint: "0123456789ab" };
    await deps.fleet.seen({ ...dead, leaseKind: "redis", shards: 4, upMs: 0 });
    for (const shard of [1, 3]) {
      await lease.ofShard(shard).acquire("7d0c1d8e", `${dead.holder}/token`, 15_000);
    }
    await settle();
    await tick(20_000);
    expect(workers[0]?.led()).toEqual([0, 1, 2, 3]);
    const epochs = () => [0, 1, 2, 3].map((shard) => db.lead(shard).epoch);
    const before = epochs();
    await tick();
    expect(epochs()).toEqual(before);
    expect(workers[0]?.led()).toEqual([0, 1, 2, 3]);
    answer.resolve(EXITED);
    await clock.advance(0);
  });

  it("sweep each shard once a tick, whoever tries", async () => {
    await using crew = shardCrew({ shards: 4, workers: 3 });
    await settle();
    await crew.tick();
    await crew.clock.advance(57_500);
    const before = [0, 1, 2, 3].map((shard) => crew.db.lead(shard).epoch);
    await crew.tick();
    await crew.clock.advance(30_000);
    const after = [0, 1, 2, 3].map((shard) => crew.db.lead(shard).epoch);
    expect(after).toEqual(before.map((epoch) => epoch + 1));
  });

  it("have presumptions written by the leader of the first shard alone", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, backend, tick, clock } = crew;
    // Life is seen, and the dead are few.
    for (let number = 0; number < 40; number += 1) backend.says(db.add().id, EXITED);
    const dead = Array.from({ length: 4 }, () => db.add());
    for (const { id } of dead) backend.says(id, GONE);
    expect(new Set(dead.map(({ id }) => remainder(id, 4))).size).toBeGreaterThan(1);
    await settle();
    for (let minute = 0; minute < 4; minute += 1) {
      await tick();
      await clock.advance(57_500);
      const alive = db.add();
      backend.says(alive.id, EXITED);
    }
    const presumed = db.verdicts.filter(({ basis }) => basis === "presumption");
    expect(presumed.map(({ runId }) => runId).toSorted()).toEqual(dead.map(({ id }) => id));
    expect(new Set(presumed.map(({ shard }) => shard))).toEqual(new Set([0]));
  });

  it("let no presumption of a mass failure through, however the runs are divided", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, backend, tick, clock } = crew;
    for (let number = 0; number < 60; number += 1) backend.says(db.add().id, GONE);
    for (let number = 0; number < 40; number += 1) {
      backend.says(db.add().id, { kind: "running", output: "none" });
    }
    await settle();
    for (let minute = 0; minute < 6; minute += 1) {
      await tick();
      await clock.advance(57_500);
    }
    expect(db.verdicts).toEqual([]);
    const held = [...db.suspicions.values()].filter(({ heldSinceMs }) => heldSinceMs !== null);
    expect(held).toHaveLength(60);
  });

  it("end no more presumptions in an hour than one worker alone", async () => {
    await using crew = shardCrew({ shards: 4, workers: 2 });
    const { db, backend, tick, clock } = crew;
    await settle();
    for (let minute = 0; minute < 40; minute += 1) {
      for (let number = 0; number < 3; number += 1) backend.says(db.add().id, GONE);
      for (let number = 0; number < 12; number += 1) backend.says(db.add().id, EXITED);
      await tick();
      await clock.advance(57_500);
    }
    const presumed = db.verdicts.filter(({ basis }) => basis === "presumption");
    const proven = db.verdicts.length - presumed.length;
    expect(proven).toBe(480);
    // The larger of 60 and a quarter of what was proven.
    expect(presumed.length).toBeGreaterThan(60);
    expect(presumed.length).toBeLessThanOrEqual(120);
  });

  it("stand by where others divide the runs otherwise, and take over when those have stopped", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, tick, clock } = crew;
    const [worker] = crew.workers;
    Object.assign(db.leadership, { leaseKind: "redis", shardCount: 2, progressedAtMs: db.nowMs() });
    await settle();
    await tick();
    const facts = worker?.facts();
    expect(facts).toMatchObject({ role: "standby", otherShards: 2, otherLeaseKind: null });
    expect(facts && health(facts).reasons).toContain(
      "other workers divide the runs into 2: give all of them the same WATCHDOG_SHARDS",
    );
    expect(crew.logged()).toContain("warn standing by, other workers divide the runs differently");
    expect([0, 1, 2, 3].map((shard) => db.lead(shard).epoch)).toEqual([0, 0, 0, 0]);
    await clock.advance(90_000);
    await tick();
    expect(db.leadership).toMatchObject({ epoch: 1, shardCount: 4 });
    for (const shard of [1, 2, 3]) expect(db.lead(shard).sweepFinishedAtMs).not.toBeNull();
  });

  it("say which shard nobody has swept, while the others are", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { lease, tick, clock, workers } = crew;
    await settle();
    await lease.ofShard(2).acquire("7d0c1d8e", "host-9/1/cd34/token", 3_600_000);
    for (let minute = 0; minute < 5; minute += 1) {
      await tick();
      await clock.advance(57_500);
    }
    const facts = workers[0]?.facts();
    expect(facts && health(facts)).toEqual({
      status: "degraded",
      reasons: shardsNeglected([2]),
    });
  });

  it("forget what is noted when the last of them stops", async () => {
    const crew = shardCrew({ shards: 4, workers: 2 });
    await settle();
    await crew.tick();
    expect(crew.db.leadership.leaseKind).toBe("redis");
    await crew[Symbol.asyncDispose]();
    expect(crew.db.leadership.leaseKind).toBeNull();
  });

  it("make their part of the calls that all may make", async () => {
    const shares: string[] = [];
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { db, backend, tick } = crew;
    Object.assign(backend, { share: (held: number, of: number) => shares.push(`${held}/${of}`) });
    const answer = Promise.withResolvers<typeof EXITED>();
    for (let number = 0; number < 40; number += 1) db.add();
    vi.spyOn(backend, "verify").mockReturnValue(answer.promise);
    await settle();
    await tick();
    expect(shares.at(-1)).toBe("4/4");
    answer.resolve(EXITED);
    await crew.clock.advance(0);
    expect(shares.at(-1)).toBe("0/4");
  });
});
