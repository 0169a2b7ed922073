/** The lease's key goes, or its expiry does, while a leader relies on it. */
import { describe, expect, it, vi } from "vitest";
import { journal } from "../../races/sample-runs.ts";
import { startRedis } from "../../services/redis/redis.ts";
import type { RedisServer } from "../../services/redis/server.ts";
import {
  EVERY_SECOND,
  gates,
  hasReportedProgress,
  healthBecomes,
  LONG_LEASE,
  leaseKey,
  PATIENCE,
  reported,
  startPair,
  statusOf,
  twiceAMinute,
  withRedis,
} from "../../support/process/contending-workers.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld, type World } from "../../support/world/world.ts";
import { expectOneWriterAtATime, expectUnharmed, QUICK, untilWell } from "./redis-trouble.ts";

const RUNS = 4;
const WITHIN = { timeout: 90_000, interval: 50 };

describe("workers whose lease is lost in Redis", () => {
  const losses = [
    {
      how: "deleted by somebody",
      lose: (redis: RedisServer, key: string) => withRedis(redis.url, (client) => client.del(key)),
    },
    { how: "evicted under volatile-ttl", lose: evictBy("volatile-ttl") },
    { how: "evicted under allkeys-lru", lose: evictBy("allkeys-lru") },
    {
      how: "gone with a server that restarts empty",
      lose: (redis: RedisServer) => redis.restart(),
    },
  ];

  it.each(losses)("judge each run once after it was $how", PATIENCE, async ({ lose }) => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    const env = { ...world.env, ...QUICK, LOG_LEVEL: "debug", REDIS_URL: redis.url };
    await using pair = await startPair(env);
    const { sweeping } = await pair.roles();
    await questions.asked(RUNS);
    await lose(redis, await leaseKey(world));
    const { err } = await sweeping.waitForLog("lease lost");
    expect(err).toMatchObject({
      message: "the store does not hold the lease under our name any more",
    });
    expect(await journal(world)).toEqual([]);
    questions.answer();
    await untilEachEndedOnce(world, ids);
    await expectOneWriterAtATime(world);
    for (const worker of pair.both) await untilWell(worker);
  });

  it(
    "leave the writes to the newer epoch while the older leader knows nothing of a restart",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      for (let run = 0; run < RUNS; run += 1) await seedExited(world, 1);
      const [answerOlder, answerNewer] = gates(world.host, RUNS, RUNS);
      const env = { ...world.env, ...LONG_LEASE, REDIS_URL: redis.url };
      await using older = await startWorker({ ...env, ...twiceAMinute() });
      await world.host.traffic.until("lookup", RUNS);
      await hasReportedProgress(world);
      await redis.restart();
      await using newer = await startWorker({ ...env, ...EVERY_SECOND });
      await world.host.traffic.until("lookup", 2 * RUNS);
      answerOlder?.();
      await older.waitForLog(reported({ epoch: 1, status: "error" }));
      expect(await journal(world)).toEqual([]);
      answerNewer?.();
      await newer.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect((await journal(world)).map(({ epoch }) => epoch)).toEqual(Array(RUNS).fill(2));
      await expectUnharmed(older);
    },
  );
});

describe("a lease whose key has lost its expiry", () => {
  it("gets it back with its holder's next renewal", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await questions.asked(RUNS);
    const key = await leaseKey(world);
    await withRedis(redis.url, async (client) => {
      expect(await client.persist(key)).toBe(1);
      await vi.waitFor(async () => expect(await client.pttl(key)).toBeGreaterThan(0), WITHIN);
    });
    questions.answer();
    await untilEachEndedOnce(world, ids);
    expect(worker.logs.filter(({ msg }) => msg === "lease lost")).toEqual([]);
  });

  it(
    "is named to everybody by its key when its holder is dead, until it is deleted",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const ids = await seedEnded(world, RUNS);
      const [answer] = gates(world.host, RUNS);
      const env = { ...world.env, ...LONG_LEASE, ...EVERY_SECOND, REDIS_URL: redis.url };
      const key = await dieWithEndlessLease(world, redis, env);
      answer?.();

      const once = await runOnce(env, ["once", "--output", "json"]);
      expect(once.code, once.stderr).toBe(75);
      expect(parseDocument(once.stdout)).toMatchObject({ status: "lease-held", epoch: null });
      expect(once.stderr).toContain("the lease has no expiry, delete its key");
      expect(once.stderr).toContain(`"key":"${key}"`);

      await using standby = await startWorker(env);
      await healthBecomes(standby, {
        status: "failing",
        role: "standby",
        reasons: expect.arrayContaining([
          `the key ${key} has no expiry and blocks every worker: delete it`,
        ]),
      });
      expect(await statusOf(standby, "/readyz")).toBe(200);
      await expectUnharmed(standby);
      expect(await journal(world)).toEqual([]);

      await withRedis(redis.url, (client) => client.del(key));
      await untilEachEndedOnce(world, ids);
      await untilWell(standby);
    },
  );
});

/** A leader in the middle of its sweep that will never renew again. */
async function dieWithEndlessLease(
  world: World,
  redis: RedisServer,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  await using worker = await startWorker(env);
  await world.host.traffic.until("lookup", RUNS);
  worker.kill("SIGKILL");
  await worker.exited;
  const key = await leaseKey(world);
  await withRedis(redis.url, async (client) => expect(await client.persist(key)).toBe(1));
  return key;
}

/** Everything that the policy may throw out goes: there is room for nothing. */
function evictBy(policy: string) {
  return (redis: RedisServer, key: string) =>
    withRedis(redis.url, async (client) => {
      await client.config("SET", "maxmemory-policy", policy, "maxmemory", "1");
      await vi.waitFor(async () => expect(await client.exists(key)).toBe(0), WITHIN);
      await client.config("SET", "maxmemory", "0");
    });
}
