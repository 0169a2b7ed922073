import { describe, expect, it } from "vitest";
import { health } from "../../../src/rules/health.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

const REQUEST = { forMs: 600_000, reason: "moving the API", by: "ann@host" };

describe("Worker in a pause", () => {
  it("sweeps nothing, says so in its log once, and in health until when, by whom and why", async () => {
    const { db, clock, fleet, run, tick, facts, logged, lines } = workerWorld();
    run();
    await settle();
    const { until } = await fleet.pause(REQUEST);
    const { epoch } = db.leadership;
    for (let ticks = 0; ticks < 4; ticks += 1) {
      await tick();
      await clock.advance(60_000);
    }
    expect(db.leadership.epoch).toBe(epoch);
    expect(facts().role).toBe("idle");
    expect(health(facts())).toEqual({
      status: "degraded",
      reasons: [`paused until ${until} by ann@host: moving the API (run-watchdog resume ends it)`],
    });
    const said = logged().filter((line) => line.includes("paused"));
    expect(said.filter((line) => line.startsWith("warn"))).toEqual([
      "warn paused, nothing is swept",
    ]);
    expect(lines.find(({ level }) => level === "warn")?.fields).toEqual({
      until,
      by: "ann@host",
      remedy: "run-watchdog resume ends it",
      reason: "moving the API",
    });
  });

  it("goes on by itself when the time is over, and nobody is missed for not having swept", async () => {
    const { db, clock, fleet, run, tick, facts, logged } = workerWorld();
    run();
    await settle();
    await tick();
    await fleet.pause(REQUEST);
    await tick();
    for (let ticks = 0; ticks < 9; ticks += 1) {
      await clock.advance(60_000);
      await tick();
    }
    expect(health(facts()).status).toBe("degraded");
    await clock.advance(60_000);
    expect(health(facts())).toEqual({ status: "ok", reasons: [] });
    const { epoch } = db.leadership;
    await tick();
    expect(db.leadership.epoch).toBe(epoch + 1);
    expect(logged()).toContain("info the pause is over");
  });

  it("is missed again when nobody sweeps for three ticks after the pause", async () => {
    const { clock, fleet, run, tick, facts } = workerWorld();
    run();
    await settle();
    await fleet.pause(REQUEST);
    await tick();
    await clock.advance(600_000 + 180_001);
    expect(health(facts()).status).toBe("failing");
  });
});

describe("Worker in the list of workers", () => {
  it("knows the others as its last tick found them, and lets what it knows of them age", async () => {
    const { clock, fleet, run, tick, facts } = workerWorld();
    const other = {
      holder: "host-2/1/cd34",
      version: "1.0.0",
      fingerprint: "ba9876543210",
      shards: 1,
    };
    await fleet.seen({ ...other, leaseKind: "redis", upMs: 5000 });
    run();
    await settle();
    expect(facts().replicas).toBeNull();
    await tick();
    await clock.advance(1000);
    expect(facts().replicas).toHaveLength(2);
    expect(facts().replicas).toContainEqual({
      ...other,
      leaseKind: "redis",
      upMs: 6000,
      seenAgoMs: 1000,
    });
    expect(facts().replicas).toContainEqual(
      expect.objectContaining({ holder: facts().holder, seenAgoMs: 1000 }),
    );
  });

  it("is listed at every tick, also as a standby, and leaves the list in order", async () => {
    const { db, clock, lease, stop, run, tick } = workerWorld();
    await lease.acquire("7d0c1d8e", "host-2/1/cd34/t", 3_600_000);
    run();
    await settle();
    expect(db.workers.size).toBe(0);
    await tick();
    const [first] = [...db.workers.values()];
    expect(first).toMatchObject({
      holder: "host-1/4711/ab12",
      version: "1.2.3",
      fingerprint: "0123456789ab",
      leaseKind: "redis",
    });
    await clock.advance(60_000);
    await tick();
    const [second] = [...db.workers.values()];
    expect((second?.seenAtMs ?? 0) - (first?.seenAtMs ?? 0)).toBe(60_000);
    expect(second?.startedAtMs).toBe(first?.startedAtMs);
    stop.abort(new Error("stop"));
    await clock.advance(0);
    expect(db.workers.size).toBe(0);
  });

  it("sweeps all the same when it cannot be listed", async () => {
    const { db, fleet, run, tick, logged } = workerWorld();
    fleet.seen = async () => {
      throw new Error("away");
    };
    run();
    await settle();
    await tick();
    expect(db.leadership.epoch).toBe(1);
    expect(logged()).toContain("debug listing this worker failed");
  });
});
