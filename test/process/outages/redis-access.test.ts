/** Workers that Redis does not let in, or not to everything they need. */
import { describe, expect, it } from "vitest";
import { startRedis } from "../../services/redis/redis.ts";
import { untilReady } from "../../support/process/ask-health.ts";
import { withRedis } from "../../support/process/contending-workers.ts";
import { holdRedisLease, releaseRedisLease } from "../../support/process/held-lease.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { expectOneWriterAtATime, QUICK, untilTold, untilWell } from "./redis-trouble.ts";

const PASSWORD = "s3cret-of-the-lease";
const NEEDED = ["+set", "+get", "+pttl", "+pexpire", "+eval"];
/** PTTL is asked by those alone who are refused. */
const TO_HOLD = NEEDED.filter((permission) => permission !== "+pttl");
const RUNS = 3;

describe("run with a Redis user of its own", () => {
  it("sweeps with the smallest set of permissions", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await setUser(redis.url, NEEDED);
    const ids = await seedEnded(world, RUNS);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: asUser(redis) });
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
    expect(worker.logs.filter(({ level, msg }) => level !== "info" && /lease/.test(msg))).toEqual(
      [],
    );
  });

  it.each(TO_HOLD)(
    "writes nothing without %s, names it, and sweeps when it is granted",
    async (missing) => {
      await using world = await createWorld();
      await using redis = await startRedis();
      await setUser(
        redis.url,
        NEEDED.filter((permission) => permission !== missing),
      );
      const ids = await seedEnded(world, RUNS);
      await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: asUser(redis) });
      await untilTold(worker, new RegExp(`^lease: .*ACL SETUSER watchdog .*\\${missing}( |$)`));
      expect(world.host.requests).toEqual([]);
      // Nothing that was half done is in the way of those who may do everything.
      await setUser(redis.url, NEEDED);
      await untilEachEndedOnce(world, ids);
      await untilWell(worker);
      expect(worker.logs.map((line) => JSON.stringify(line)).join()).not.toContain(PASSWORD);
    },
  );

  it("stands by unready without +pttl, names it, and is ready when it is granted", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await setUser(redis.url, TO_HOLD);
    await holdRedisLease(redis.url, world.database.sql);
    const ids = await seedEnded(world, RUNS);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: asUser(redis) });
    await untilTold(worker, /^lease: reading the lease .*ACL SETUSER watchdog .*\+pttl( |$)/);
    await setUser(redis.url, NEEDED);
    await untilReady(worker);
    expect(world.host.requests).toEqual([]);
    await releaseRedisLease(redis.url, world.database.sql);
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
  });

  it("gives its sweep up when it may no longer renew, and goes on when it may again", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await setUser(redis.url, NEEDED);
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: asUser(redis) });
    await questions.asked(RUNS);
    await withRedis(redis.url, (client) => client.call("ACL", "SETUSER", "watchdog", "-pexpire"));
    await worker.waitForLog("lease lost");
    questions.answer();
    await untilTold(worker, /^lease: .*allow what the lease needs/);
    await withRedis(redis.url, (client) => client.call("ACL", "SETUSER", "watchdog", "+pexpire"));
    await untilEachEndedOnce(world, ids);
    await expectOneWriterAtATime(world);
    await untilWell(worker);
  });
});

describe("once with a wrong password for Redis", () => {
  it("exits with 69, names REDIS_URL and never the password", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await withRedis(redis.url, (client) => client.config("SET", "requirepass", "another"));
    const env = { ...world.env, REDIS_URL: redis.url.replace("redis://", `redis://:${PASSWORD}@`) };
    const { code, stdout, stderr } = await runOnce(env, ["once", "--output", "json"]);
    expect(code, stderr).toBe(69);
    expect(parseDocument(stdout).status).toBe("unavailable");
    expect(stderr).toMatch(/WRONGPASS .*: check the user and the password in REDIS_URL/);
    expect(stdout + stderr).not.toContain(PASSWORD);
  });
});

describe("run with a wrong password for Redis", () => {
  it("names REDIS_URL and never the password, and sweeps when the server accepts it", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await withRedis(redis.url, (client) => client.config("SET", "requirepass", "another"));
    const ids = await seedEnded(world, RUNS);
    const url = redis.url.replace("redis://", `redis://:${PASSWORD}@`);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: url,
      LOG_LEVEL: "debug",
    });
    await untilTold(
      worker,
      /^lease: .*WRONGPASS .*: check the user and the password in REDIS_URL$/,
    );
    expect(world.host.requests).toEqual([]);
    const admin = redis.url.replace("redis://", "redis://:another@");
    await withRedis(admin, (client) => client.config("SET", "requirepass", PASSWORD));
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
    expect(worker.stdout() + worker.stderr()).not.toContain(PASSWORD);
  });

  it("sweeps again after the password was changed back under a running worker", async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    await setUser(redis.url, NEEDED);
    await using worker = await startWorker({ ...world.env, ...QUICK, REDIS_URL: asUser(redis) });
    await untilWell(worker);
    await withRedis(redis.url, async (client) => {
      await client.call("ACL", "SETUSER", "watchdog", "resetpass", ">another");
      await client.client("KILL", "USER", "watchdog");
    });
    await untilTold(worker, /^lease: .*WRONGPASS/);
    const ids = await seedEnded(world, RUNS);
    await setUser(redis.url, NEEDED);
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
  });
});

function asUser({ url }: { readonly url: string }): string {
  return url.replace("redis://", `redis://watchdog:${PASSWORD}@`);
}

/** With these permissions and no others. */
async function setUser(url: string, permissions: readonly string[]): Promise<void> {
  const rules = ["reset", "on", `>${PASSWORD}`, "~watchdog:*", "-@all", ...permissions];
  await withRedis(url, (client) => client.call("ACL", "SETUSER", "watchdog", ...rules));
}
