import { describe, expect, it, vi } from "vitest";
import { type ClockReading, skewMs } from "../../../src/rules/clock-skew.ts";
import type { SharedApi } from "../../../src/watchdog/ports.ts";
import { INSTALLATION } from "../../support/memory/memory-leadership.ts";
import { sweepWorld } from "../../support/stands/sweep-world.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

describe("the clocks that a sweep learns of", () => {
  it("are those of the database, the backend and the lease store, which is asked when all else is done", async () => {
    const { lead, seen, steps } = setup();
    expect((await lead()).kind).toBe("swept");
    expect(seen).toEqual({ postgres: 0, redis: 7000, backend: -9000 });
    expect(steps).toEqual(["release", "clock"]);
  });

  it("are those of the stores while somebody else sweeps", async () => {
    const { lead, lease, seen } = setup();
    await lease.acquire(INSTALLATION, "host-2/1/cd34/t", 15_000);
    expect((await lead()).kind).toBe("lease-held");
    expect(seen).toEqual({ postgres: 0, redis: 7000 });
  });

  it("leave out a lease store and a backend that do not tell", async () => {
    const { lead, lease, api, seen } = setup();
    lease.clock = async () => null;
    api.clock = null;
    expect((await lead()).kind).toBe("swept");
    expect(seen).toEqual({ postgres: 0 });
  });

  it("do not count the time that the database took to answer", async () => {
    const { lead, leadership, clock, seen } = setup();
    const read = leadership.read.bind(leadership);
    vi.spyOn(leadership, "read").mockImplementation(async () => {
      const view = await read();
      await clock.advance(8000);
      return view;
    });
    await lead();
    expect(seen).toMatchObject({ postgres: 0 });
  });

  it("are not asked for when nobody wants to know", async () => {
    const { steps, leadUnwatched } = setup();
    expect((await leadUnwatched()).kind).toBe("swept");
    expect(steps).toEqual(["release"]);
  });

  it("are not asked for in an orderly stop", async () => {
    const { lead, stop, seen, steps } = setup();
    await lead(() => stop.abort(new Error("stopping")));
    expect(steps).toEqual(["release"]);
    expect(seen).not.toHaveProperty("redis");
  });
});

describe("Worker and the clocks", () => {
  it("knows the lease store's before its first tick, and says once that it is off", async () => {
    const { run, tick, facts, lease, clock, lines } = workerWorld();
    Object.assign(lease, { clock: async () => reading(clock.now().getTime(), 7000) });
    run();
    await clock.advance(0);
    expect(facts().clockSkewsMs).toEqual({ postgres: 0, redis: 7000, backend: null });
    await tick();
    await tick();
    expect(lines.filter(({ message }) => message === "a clock is off")).toEqual([
      {
        level: "warn",
        message: "a clock is off",
        fields: {
          clock: "redis",
          skewSeconds: 7,
          problem: "the clock of Redis is 7 s ahead of this worker's, check their time service",
        },
      },
    ]);
  });
});

function setup() {
  const world = sweepWorld();
  const { backend, clock, lead: leadOnce } = world;
  const steps: string[] = [];
  const seen: Record<string, number> = {};
  const nowMs = () => clock.now().getTime();
  const lease = Object.assign(world.lease, {
    clock: async (): Promise<ClockReading | null> => {
      steps.push("clock");
      return reading(nowMs(), 7000);
    },
  });
  const release = lease.release.bind(lease);
  vi.spyOn(lease, "release").mockImplementation(async (...args) => {
    steps.push("release");
    return await release(...args);
  });
  const api: { clock: ClockReading | null } & Omit<SharedApi, "clock"> = {
    throttle: { pausedForMs: 0, concurrency: null },
    breaker: "closed",
    blockedReason: null,
    restore() {},
    clock: { ...reading(nowMs(), -10_000), precisionMs: 1000 },
  };
  Object.assign(backend, { api });
  const onClock = (peer: string, read: ClockReading) => {
    seen[peer] = skewMs(read);
  };
  const lead = (onSweep = () => {}) => leadOnce({}, { onClock, onSweep });
  return Object.assign(world, { lease, api, steps, seen, lead, leadUnwatched: () => leadOnce() });
}

function reading(nowMs: number, aheadMs: number): ClockReading {
  return { theirMs: nowMs + aheadMs, sentMs: nowMs, receivedMs: nowMs, precisionMs: 1 };
}
