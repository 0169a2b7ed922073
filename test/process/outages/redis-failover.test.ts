/** The server behind REDIS_URL changes its part: it becomes a replica, loads its data, or is joined by a second master. */
import { describe, expect, it, vi } from "vitest";
import { journal } from "../../races/sample-runs.ts";
import { startRedis } from "../../services/redis/redis.ts";
import type { RedisServer } from "../../services/redis/server.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import {
  EVERY_SECOND,
  gates,
  healthOf,
  LONG_LEASE,
  PATIENCE,
  reported,
  startPair,
  twiceAMinute,
  withRedis,
} from "../../support/process/contending-workers.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { expectOneWriterAtATime, QUICK, untilTold, untilWell } from "./redis-trouble.ts";

const RUNS = 4;
const WITHIN = { timeout: 90_000, interval: 50 };

describe("workers whose Redis becomes a read-only replica in a failover", () => {
  it("stop, say so, and go on when the endpoint leads to the new master", PATIENCE, async () => {
    await using world = await createWorld();
    await using master = await startRedis();
    await using replica = await startRedis();
    await follow(replica, master);
    await using endpoint = await startTcpProxy(master);
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using pair = await startPair({
      ...world.env,
      ...QUICK,
      LOG_LEVEL: "debug",
      REDIS_URL: endpoint.url(master.url),
    });
    const { sweeping, standby } = await pair.roles();
    await questions.asked(RUNS);

    await withRedis(replica.url, (client) => client.replicaof("NO", "ONE"));
    await withRedis(master.url, (client) => client.replicaof(replica.host, replica.port));
    await sweeping.waitForLog("lease lost");
    questions.answer();
    // No connection was closed: nothing but the answers tells them.
    for (const worker of [sweeping, standby]) {
      await untilTold(worker, /^lease: .*READONLY .*REDIS_URL has to lead to the master/);
    }
    expect(await journal(world)).toEqual([]);

    endpoint.pointAt(replica);
    await untilEachEndedOnce(world, ids);
    await expectOneWriterAtATime(world);
    for (const worker of pair.both) await untilWell(worker);
  });

  it("go on with the same server when it is promoted again", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await untilWell(worker);
    await withRedis(redis.url, (client) => client.replicaof(redis.host, 1));
    await untilTold(worker, /^lease: .*READONLY/);
    // Every other answer of a replica is as friendly as a master's: asking for it again must not look like a cure.
    const { length: since } = worker.logs;
    await vi.waitFor(async () => {
      expect((await healthOf(worker)).reasons.join()).toContain("nobody has swept");
    }, WITHIN);
    expect(worker.logs.slice(since).map(({ msg }) => msg)).not.toContain("stores answer again");
    const ids = await seedEnded(world, RUNS);
    await withRedis(redis.url, (client) => client.replicaof("NO", "ONE"));
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
  });
});

describe("two workers that lead on two masters at once", () => {
  it("leave the writes to the newer epoch", PATIENCE, async () => {
    await using world = await createWorld();
    await using old = await startRedis();
    await using young = await startRedis();
    await using endpoint = await startTcpProxy(old);
    for (let run = 0; run < RUNS; run += 1) await seedExited(world, 1);
    const [answerOlder, answerNewer] = gates(world.host, RUNS, RUNS);
    const env = { ...world.env, ...LONG_LEASE, REDIS_URL: endpoint.url(old.url) };
    await using older = await startWorker({ ...env, ...twiceAMinute() });
    await world.host.traffic.until("lookup", RUNS);
    // The older one's connection stays with the master that was cut off.
    endpoint.pointAt(young);
    await using newer = await startWorker({ ...env, ...EVERY_SECOND });
    await world.host.traffic.until("lookup", 2 * RUNS);

    answerOlder?.();
    await older.waitForLog(reported({ epoch: 1, status: "error" }));
    expect(await journal(world)).toEqual([]);
    answerNewer?.();
    await newer.waitForLog(reported({ epoch: 2, status: "ok" }));
    expect((await journal(world)).map(({ epoch }) => epoch)).toEqual(Array(RUNS).fill(2));
    await expectOneWriterAtATime(world);
  });
});

describe("a worker whose Redis loads its data", () => {
  it("waits until it has loaded, and says so meanwhile", PATIENCE, async () => {
    await using world = await createWorld();
    // A tenth of a second for every key, half a minute in all, and answers in between.
    const delay = ["--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"];
    const slow = [...delay, "--rdbcompression", "no"];
    await using redis = await startRedis(slow);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: redis.url });
    await untilWell(worker);
    await withRedis(redis.url, async (client) => {
      const text = "x".repeat(2000);
      await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, key) => [key, text])));
      await client.save();
    });
    await redis.kill();
    const starting = redis.start();
    await untilTold(worker, /^lease: .*LOADING Redis is loading the dataset in memory$/);
    const ids = await seedEnded(world, RUNS);
    await withRedis(redis.url, (client) => client.config("SET", "key-load-delay", "0"));
    await starting;
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
  });
});

/** Settles when the replica has everything that the master has. */
async function follow(replica: RedisServer, master: RedisServer): Promise<void> {
  await withRedis(replica.url, async (client) => {
    await client.replicaof(master.host, master.port);
    await vi.waitFor(async () => {
      expect(await client.info("replication")).toContain("master_link_status:up");
    }, WITHIN);
  });
}
