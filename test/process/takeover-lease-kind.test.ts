import { describe, expect, it } from "vitest";
import { journal, seedExited } from "../races/fleet.ts";
import { startRedis } from "../support/redis.ts";
import { runOnce, startWorker } from "../support/worker-process.ts";
import { createWorld } from "../support/world.ts";
import {
  EVERY_SECOND,
  healthBecomes,
  LONG_LEASE,
  PATIENCE,
  reported,
  SHORT_LEASE,
  statusOf,
} from "./crew.ts";

const STANDING_BY = "standing by, other workers use another kind of lease";
const REMEDY = "give all of them the same REDIS_URL, or none";

describe("workers that change from the Redis lease to the Postgres lease", () => {
  it(
    "are ready standbys with the remedy, and sweep when the old one has stopped",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const env = { ...world.env, ...LONG_LEASE, ...EVERY_SECOND };
      await using old = await startWorker({ ...env, REDIS_URL: redis.url });
      await old.waitForLog(reported({ status: "ok" }));
      await using successor = await startWorker(env);

      await successor.waitForLog(STANDING_BY);
      await healthBecomes(successor, {
        status: "degraded",
        role: "standby",
        reasons: [`other workers use the redis lease: ${REMEDY}`],
      });
      expect(await statusOf(successor, "/readyz")).toBe(200);

      // With a lease this long, an old one that merely fell silent would be waited for.
      old.kill("SIGTERM");
      expect(await old.exited).toEqual({ code: 0, signal: null });
      const run = await seedExited(world, 1);
      const { epoch } = await successor.waitForLog(
        (line) => line.msg === "sweep finished" && line.level === "info",
      );
      expect(await journal(world)).toMatchObject([{ run_id: run.id, epoch }]);
      await healthBecomes(successor, { status: "ok", reasons: [] });
      expect(old.logs.filter(({ level }) => level === "error")).toEqual([]);
    },
  );

  it("take over from an old one that was killed", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const env = { ...world.env, ...SHORT_LEASE, ...EVERY_SECOND };
    await using old = await startWorker({ ...env, REDIS_URL: redis.url });
    await old.waitForLog(reported({ status: "ok" }));
    await using successor = await startWorker(env);
    await successor.waitForLog(STANDING_BY);
    old.kill("SIGKILL");
    await old.exited;
    const run = await seedExited(world, 1);
    await successor.waitForLog(reported({ status: "ok" }));
    expect(await journal(world)).toMatchObject([{ run_id: run.id }]);
  });

  it("refuse a one-shot of the other kind with exit code 2 and the remedy", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const run = await seedExited(world, 1);
    const old = await runOnce({ ...world.env, REDIS_URL: redis.url }, ["once", "--run", run.id]);
    expect(old.code).toBe(0);
    await using worker = await startWorker({
      ...world.env,
      ...EVERY_SECOND,
      REDIS_URL: redis.url,
    });
    await worker.waitForLog(reported({ status: "ok" }));

    const other = await runOnce(world.env, ["once"]);
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain(REMEDY);
    expect(other.stderr).toContain("redis lease");
    const same = await runOnce({ ...world.env, REDIS_URL: redis.url }, ["once", "--wait", "30s"]);
    expect(same).toMatchObject({ code: 0 });
  });
});
