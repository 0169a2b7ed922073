import { describe, expect, it, vi } from "vitest";
import { deleted, journal } from "../../races/sample-runs.ts";
import {
  gates,
  healthOf,
  LEASE_STORES,
  PATIENCE,
  reported,
  SHORT_LEASE,
  startPair,
  statusOf,
  twiceAMinute,
} from "../../support/process/contending-workers.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld } from "../../support/world/world.ts";

describe.each(LEASE_STORES)("two workers on one $name lease", ({ open }) => {
  it("share the work: one sweeps, the other is ready and knows who does", PATIENCE, async () => {
    await using world = await createWorld();
    await using store = await open(world);
    const run = await seedExited(world, 1);
    const [answer] = gates(world.host, 1);
    const env = { ...world.env, ...store.env, ...SHORT_LEASE, ...twiceAMinute() };
    await using pair = await startPair(env);
    const { sweeping, standby } = await pair.roles();

    const leader = await healthOf(sweeping);
    const other = await healthOf(standby);
    expect(other).toMatchObject({ status: "ok", lease: { holder: leader.holder } });
    expect(other.lease.expiresAt).not.toBeNull();
    expect(other.holder).not.toBe(leader.holder);
    expect(await statusOf(standby, "/readyz")).toBe(200);
    expect(await statusOf(sweeping, "/readyz")).toBe(200);

    answer?.();
    await sweeping.waitForLog(reported({ epoch: 1, status: "ok" }));
    expect(await journal(world)).toMatchObject([{ run_id: run.id, epoch: 1 }]);
    expect(world.host.traffic.of("lookup").seen).toBe(1);
  });

  it(
    "lose nothing when one is killed: the other takes over before its tick",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using store = await open(world);
      const runs = await Promise.all([0, 1, 1, 0, 1, 1].map((code) => seedExited(world, code)));
      // Two are answered. When the leader dies three more are in hand, one of them looked up ahead.
      const [pass, answer] = gates(world.host, 2, 3);
      pass?.();
      const env = {
        ...world.env,
        ...store.env,
        ...SHORT_LEASE,
        ...twiceAMinute(),
        WATCHDOG_CONCURRENCY: "2",
      };
      await using pair = await startPair(env);
      const { sweeping, standby } = await pair.roles();
      await vi.waitFor(async () => expect(await journal(world)).toHaveLength(2), 90_000);
      await world.host.traffic.until("lookup", 5);
      const { sweep: before } = await healthOf(standby);
      sweeping.kill("SIGKILL");
      expect(await sweeping.exited).toEqual({ code: null, signal: "SIGKILL" });
      answer?.();

      await standby.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect((await healthOf(standby)).sweep.nextAt).toBe(before.nextAt);
      const verdicts = await journal(world);
      expect(verdicts.map(({ run_id }) => run_id).sort()).toEqual(runs.map(({ id }) => id).sort());
      expect(verdicts.map(({ epoch }) => epoch)).toEqual([1, 1, 2, 2, 2, 2]);
      expect(new Set(deleted(world)).size).toBe(deleted(world).length);
    },
  );
});
