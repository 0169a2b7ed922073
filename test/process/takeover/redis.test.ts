import { describe, expect, it, vi } from "vitest";
import { journal } from "../../races/sample-runs.ts";
import { startRedis } from "../../services/redis/redis.ts";
import {
  EVERY_SECOND,
  gates,
  healthBecomes,
  healthOf,
  leaseKey,
  PATIENCE,
  reported,
  SHORT_LEASE,
  statusOf,
  withRedis,
} from "../../support/process/contending-workers.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld } from "../../support/world/world.ts";

const WITHIN = { timeout: 90_000, interval: 50 };

describe("a worker whose Redis fails during a sweep", () => {
  it(
    "writes nothing after FLUSHALL, reports an error and sweeps again later",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const run = await seedExited(world, 1);
      const [answer] = gates(world.host, 1);
      const env = { ...world.env, ...SHORT_LEASE, ...EVERY_SECOND, REDIS_URL: redis.url };
      await using worker = await startWorker(env);
      await world.host.traffic.until("lookup", 1);
      await withRedis(redis.url, (client) => client.flushall());
      await worker.waitForLog("lease lost");
      answer?.();
      const report = await worker.waitForLog(reported({ epoch: 1, status: "error" }));
      expect(report).toMatchObject({ exitCode: 1, counts: { stale: 0 } });

      await worker.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect(await journal(world)).toMatchObject([{ run_id: run.id, epoch: 2 }]);
    },
  );

  it(
    "stops when Redis is silent for longer than the lease is trusted, and recovers",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const run = await seedExited(world, 1);
      const [answer] = gates(world.host, 1);
      const env = { ...world.env, ...SHORT_LEASE, ...EVERY_SECOND, REDIS_URL: redis.url };
      await using worker = await startWorker(env);
      await world.host.traffic.until("lookup", 1);
      redis.pause();
      await worker.waitForLog(reported({ epoch: 1, status: "error" }));
      // The question was broken off, not waited for.
      await vi.waitFor(() => expect(world.host.traffic.of("lookup").inFlight).toBe(0), WITHIN);
      answer?.();
      await vi.waitFor(async () => expect(await statusOf(worker, "/readyz")).toBe(503), WITHIN);
      expect((await healthOf(worker)).reasons.join()).toContain("lease:");
      expect(await statusOf(worker, "/livez")).toBe(200);
      expect(await journal(world)).toEqual([]);
      expect(await world.row(run.id)).toMatchObject({ status: "RUNNING", status_detail: null });

      redis.resume();
      await worker.waitForLog(reported({ status: "ok" }));
      expect(await statusOf(worker, "/readyz")).toBe(200);
      expect(await journal(world)).toMatchObject([{ run_id: run.id }]);
    },
  );
});

describe("a worker that meets a lease without an expiry", () => {
  it("is failing and names the remedy until somebody deletes the key", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const run = await seedExited(world, 1);
    const key = await leaseKey(world);
    await withRedis(redis.url, (client) => client.set(key, "somebody/1/ab/token"));
    const env = { ...world.env, ...SHORT_LEASE, ...EVERY_SECOND, REDIS_URL: redis.url };
    await using worker = await startWorker(env);
    const { level, holder } = await worker.waitForLog("the lease has no expiry, delete its key");
    expect({ level, holder }).toEqual({ level: "error", holder: "somebody/1/ab" });
    expect(await healthOf(worker)).toMatchObject({
      status: "failing",
      role: "standby",
      reasons: expect.arrayContaining([
        `the key ${key} has no expiry and blocks every worker: delete it`,
      ]),
    });
    expect(await statusOf(worker, "/health")).toBe(503);
    expect(await statusOf(worker, "/readyz")).toBe(200);
    expect(await journal(world)).toEqual([]);

    await withRedis(redis.url, (client) => client.del(key));
    await worker.waitForLog(reported({ status: "ok" }));
    await healthBecomes(worker, { status: "ok", reasons: [] });
    expect(await journal(world)).toMatchObject([{ run_id: run.id }]);
  });
});
