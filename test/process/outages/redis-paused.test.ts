/** Redis keeps every connection and answers nothing, and later goes on as if nothing had been. */
import { describe, expect, it } from "vitest";
import { journal } from "../../races/sample-runs.ts";
import { startRedis } from "../../services/redis/redis.ts";
import type { RedisServer } from "../../services/redis/server.ts";
import { PATIENCE, startPair, withRedis } from "../../support/process/contending-workers.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld, type World } from "../../support/world/world.ts";
import { expectOneWriterAtATime, QUICK, untilTold, untilWell } from "./redis-trouble.ts";

const RUNS = 4;
const FOR_EVER = "86400000";

const pauses = [
  {
    how: "stopped (SIGSTOP)",
    pause: async (redis: RedisServer) => redis.pause(),
    resume: async (redis: RedisServer) => redis.resume(),
  },
  {
    // Reading goes on, so that a mere PING would be answered.
    how: "paused for writing (CLIENT PAUSE)",
    pause: (redis: RedisServer) =>
      withRedis(redis.url, (client) => client.call("CLIENT", "PAUSE", FOR_EVER, "WRITE")),
    resume: (redis: RedisServer) =>
      withRedis(redis.url, (client) => client.call("CLIENT", "UNPAUSE")),
  },
];

describe.each(pauses)("two workers whose Redis is $how", ({ pause, resume }) => {
  it("do not lead on, neither of them, and share the work again afterwards", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    const env = { ...world.env, ...QUICK, LOG_LEVEL: "debug", REDIS_URL: redis.url };
    await using pair = await startPair(env);
    const { sweeping, standby } = await pair.roles();
    await questions.asked(RUNS);
    const epoch = await epochOf(world);

    await pause(redis);
    const { err } = await sweeping.waitForLog("lease lost");
    expect(err).toMatchObject({ message: expect.stringContaining("was not renewed in time") });
    questions.answer();
    for (const worker of [sweeping, standby]) await untilTold(worker, /^lease: .*no (answer|con)/);
    expect(await journal(world)).toEqual([]);
    expect(await epochOf(world)).toBe(epoch);

    await resume(redis);
    await untilEachEndedOnce(world, ids);
    await expectOneWriterAtATime(world);
    for (const worker of pair.both) await untilWell(worker);
  });
});

async function epochOf({ database }: World): Promise<number> {
  const [row] = await database.sql`SELECT epoch::int FROM watchdog.leadership`;
  return row?.["epoch"];
}
