/** Redis has no room: for another client, or for another key. */
import { describe, expect, it } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import { reported, withRedis } from "../../support/process/contending-workers.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { expectOneWriterAtATime, QUICK, untilTold, untilWell } from "./redis-trouble.ts";

const RUNS = 3;

describe("run with a Redis that takes no more clients", () => {
  it("says so, and sweeps when there is room for it", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    await withRedis(redis.url, async (client) => {
      await client.config("SET", "maxclients", "1");
      await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
      await untilTold(worker, /^lease: .*max number of clients reached: raise maxclients of Redis/);
      expect(world.host.requests).toEqual([]);
      await client.config("SET", "maxclients", "10");
      await untilEachEndedOnce(world, ids);
      await untilWell(worker);
    });
  });

  it("gives its sweep up when it cannot come back in time, and makes another one", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await questions.asked(RUNS);
    await withRedis(redis.url, async (client) => {
      await client.config("SET", "maxclients", "1");
      await client.call("CLIENT", "KILL", "TYPE", "normal");
      await worker.waitForLog("lease lost");
      questions.answer();
      await untilTold(worker, /^lease: .*max number of clients reached/);
      await client.config("SET", "maxclients", "10");
    });
    await untilEachEndedOnce(world, ids);
    await expectOneWriterAtATime(world);
    await untilWell(worker);
  });
});

describe("run with a Redis whose memory is full", () => {
  it("ends the sweep it is in, begins none, and says so until there is room", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await questions.asked(RUNS);
    await withRedis(redis.url, async (client) => {
      await client.config("SET", "maxmemory", "1");
      questions.answer();
      await untilEachEndedOnce(world, ids);
      await worker.waitForLog(reported({ epoch: 1, status: "ok" }));
      await untilTold(worker, /^lease: .*OOM .*: raise maxmemory of Redis, or free some$/);
      const later = await seedEnded(world, RUNS);
      await client.config("SET", "maxmemory", "0");
      await untilEachEndedOnce(world, [...ids, ...later]);
    });
    await untilWell(worker);
  });
});
