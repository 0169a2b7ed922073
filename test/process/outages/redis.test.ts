/** The worker while Redis is away: nothing is swept without the lease, and nothing is lost. */
import { describe, expect, it } from "vitest";
import { redisUrl, startRedis } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import { untilNotReady, untilReady } from "../../support/process/ask-health.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { expectUnharmed, QUICK } from "./redis-trouble.ts";

const RUNS = 5;

describe("run while Redis is away", () => {
  it("starts without it, writes nothing, and sweeps when it is there", async () => {
    await using redis = await startRedis();
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    await redis.kill();
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await untilNotReady(worker, /^lease: .*ECONNREFUSED/);
    await expectUnharmed(worker);
    expect(world.host.requests).toEqual([]);
    await redis.start();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });

  it("gives up its sweep when Redis crashes and forgets the lease, and makes another one", async () => {
    await using redis = await startRedis();
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await questions.asked(RUNS);
    await redis.kill();
    await worker.waitForLog("lease lost");
    questions.answer();
    await untilNotReady(worker, /^lease: .*ECONNREFUSED/);
    await expectUnharmed(worker);
    await redis.start();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });

  it("goes on with its sweep when Redis is back before the lease is lost", async () => {
    await using redis = await startRedis();
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    const patient = { WATCHDOG_LEASE_TTL: "60s", WATCHDOG_LEASE_RENEW: "500ms" };
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      ...patient,
      REDIS_URL: redis.url,
    });
    await questions.asked(RUNS);
    redis.pause();
    await worker.waitForLog("renewing the lease failed");
    redis.resume();
    questions.answer();
    await untilEachEndedOnce(world, ids);
    expect(worker.logs.some(({ msg }) => msg === "lease lost")).toBe(false);
  });
});

describe("run behind a half-open connection to Redis", () => {
  it("gives up the lease in time, stays alive, and goes on when the network is back", async () => {
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const { hostname, port } = new URL(redisUrl());
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const questions = holdLookups(world);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: proxy.url(redisUrl()),
    });
    await questions.asked(RUNS);
    proxy.blackhole();
    await worker.waitForLog("lease lost");
    questions.answer();
    await untilNotReady(worker, /^lease: /);
    await expectUnharmed(worker);
    const [written] = await world.database.sql`SELECT count(*)::int FROM watchdog.verdicts`;
    expect(written).toEqual({ count: 0 });
    await proxy.heal();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });
});
