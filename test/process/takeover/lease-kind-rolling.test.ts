/** A fleet changes its lease one worker at a time, while runs go on becoming stale. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import {
  type LogLine,
  startWorker,
  type WorkerProcess,
} from "../../support/process/worker-process.ts";
import { untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";
import {
  expectOneWriterAtATime,
  expectUnharmed,
  QUICK,
  untilWell,
} from "../outages/redis-trouble.ts";
import { FLEET_CHANGES } from "./lease-kind-change.ts";

/** No lease may be lost here, and with quicker renewals a command would have less time than it may need. */
const CALM = {
  WATCHDOG_LEASE_TTL: "8s",
  WATCHDOG_LEASE_RENEW: "2s",
  WATCHDOG_LEASE_MARGIN: "1s",
};
const PATIENCE = { timeout: 300_000 };
const EVERY_MS = 100;
const isStandingBy = ({ msg }: LogLine) => msg.startsWith("standing by, other workers ");

describe.each(FLEET_CHANGES)("a rolling change $name", ({ envs }) => {
  it("judges every run once and leaves none, whenever it became stale", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const { before, after } = envs({ ...world.env, ...QUICK, ...CALM, LOG_LEVEL: "debug" }, redis);
    await using runs = keepSeeding(world);
    await using oldA = await startWorker(before);
    await using oldB = await startWorker(before);
    await untilJudgedBy(world, oldA, oldB);

    await using newA = await startWorker(after);
    await newA.waitForLog(isStandingBy);
    await stop(oldA);
    await using newB = await startWorker(after);
    await untilMore(world);
    await stop(oldB);
    await untilJudgedBy(world, newA, newB);

    await untilEachEndedOnce(world, await runs.stop());
    await expectOneWriterAtATime(world);
    for (const worker of [newA, newB]) await untilWell(worker);
    for (const { logs } of [oldA, oldB, newA, newB]) {
      expect(logs.filter(({ level }) => level === "error")).toEqual([]);
    }
  });
});

describe("a rolling change from one Redis to another", () => {
  it(
    "judges every run once and leaves none, although both lead for a while",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redisA = await startRedis();
      await using redisB = await startRedis();
      const env = { ...world.env, ...QUICK };
      await using runs = keepSeeding(world);
      await using older = await startWorker({ ...env, REDIS_URL: redisA.url });
      await untilJudgedBy(world, older);
      await using newer = await startWorker({ ...env, REDIS_URL: redisB.url });
      // Neither knows of the other one's lease: the epoch hands the work to and fro.
      await untilJudgedBy(world, newer);
      await stop(older);
      await untilMore(world);
      await untilEachEndedOnce(world, await runs.stop());
      await expectOneWriterAtATime(world);
      await untilWell(newer);
    },
  );
});

/** Runs whose commands have ended, each stale a moment after it was made, until `stop` or the end of the scope. */
function keepSeeding(world: World) {
  const ids: string[] = [];
  const over = new AbortController();
  const seeding = seed();
  return {
    async stop(): Promise<readonly string[]> {
      over.abort();
      await seeding;
      return ids;
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await seeding;
    },
  };

  async function seed(): Promise<void> {
    while (!over.signal.aborted) {
      const bashCommandId = randomCommandId();
      const outputs = [exitedWith(ids.length % 2, { bashCommandId })];
      ids.push((await world.seed({ bashCommandId, overdueMs: -300 }, { outputs })).id);
      await sleep(EVERY_MS, null, { signal: over.signal }).catch(() => undefined);
    }
  }
}

/** An orderly end, as in a rolling restart. */
async function stop(worker: WorkerProcess): Promise<void> {
  await expectUnharmed(worker);
  worker.kill("SIGTERM");
  expect(await worker.exited).toEqual({ code: 0, signal: null });
}

/** Settles when one of these has judged something. */
async function untilJudgedBy({ database: { sql } }: World, ...workers: readonly WorkerProcess[]) {
  const ups = await Promise.all(workers.map((worker) => worker.waitForLog("run-watchdog is up")));
  const holders = ups.map((line) => String(line["holder"]));
  await expect
    .poll(
      async () => {
        const rows = await sql`
          SELECT FROM watchdog.verdicts WHERE holder IN ${sql(holders)} LIMIT 1`;
        return rows.length;
      },
      { timeout: 90_000, interval: 100 },
    )
    .toBe(1);
}

/** Settles when the fleet, as it is now, has judged something more. */
async function untilMore({ database }: World): Promise<void> {
  const count = async () => {
    const [row] = await database.sql`SELECT count(*)::int AS verdicts FROM watchdog.verdicts`;
    return Number(row?.["verdicts"]);
  };
  const before = await count();
  await expect.poll(count, { timeout: 90_000, interval: 100 }).toBeGreaterThan(before);
}
