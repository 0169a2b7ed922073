import { describe, expect, it } from "vitest";
import { journal } from "../../races/sample-runs.ts";
import { startRedis } from "../../services/redis/redis.ts";
import {
  EVERY_SECOND,
  gates,
  healthBecomes,
  LONG_LEASE,
  PATIENCE,
  reported,
  SHORT_LEASE,
  statusOf,
} from "../../support/process/contending-workers.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { seedExited } from "../../support/world/proven-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { expectOneWriterAtATime, expectUnharmed } from "../outages/redis-trouble.ts";
import { LEASE_KIND_CHANGES } from "./lease-kind-change.ts";

const STANDING_BY = "standing by, other workers use another kind of lease";
const REMEDY = "give all of them the same REDIS_URL, or none";

describe.each(LEASE_KIND_CHANGES)("workers that change $name", ({ from, envs }) => {
  it(
    "are ready standbys with the remedy, and sweep when the old one has stopped",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const { before, after } = envs({ ...world.env, ...LONG_LEASE, ...EVERY_SECOND }, redis);
      await using old = await startWorker(before);
      await old.waitForLog(reported({ status: "ok" }));
      await using successor = await startWorker(after);

      await successor.waitForLog(STANDING_BY);
      await healthBecomes(successor, {
        status: "degraded",
        role: "standby",
        reasons: [`other workers use the ${from} lease: ${REMEDY}`],
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
    const { before, after } = envs({ ...world.env, ...SHORT_LEASE, ...EVERY_SECOND }, redis);
    await using old = await startWorker(before);
    await old.waitForLog(reported({ status: "ok" }));
    await using successor = await startWorker(after);
    await successor.waitForLog(STANDING_BY);
    old.kill("SIGKILL");
    await old.exited;
    const run = await seedExited(world, 1);
    await successor.waitForLog(reported({ status: "ok" }));
    expect(await journal(world)).toMatchObject([{ run_id: run.id }]);
  });

  it(
    "take over from an old one that slept, which writes nothing when it wakes",
    PATIENCE,
    async () => {
      await using world = await createWorld();
      await using redis = await startRedis();
      const runs = [await seedExited(world, 1), await seedExited(world, 0)];
      const [answerOld, answerSuccessor] = gates(world.host, runs.length, runs.length);
      const { before, after } = envs({ ...world.env, ...SHORT_LEASE, ...EVERY_SECOND }, redis);
      await using old = await startWorker(before);
      await world.host.traffic.until("lookup", runs.length);
      await using successor = await startWorker(after);
      await successor.waitForLog(STANDING_BY);
      old.kill("SIGSTOP");
      await world.host.traffic.until("lookup", 2 * runs.length);
      // Neither store knows of the other one's holder: nothing but the epoch tells them apart.
      answerOld?.();
      old.kill("SIGCONT");
      await old.waitForLog(reported({ epoch: 1, status: "error" }));
      expect(await journal(world)).toEqual([]);
      answerSuccessor?.();
      await successor.waitForLog(reported({ epoch: 2, status: "ok" }));
      expect((await journal(world)).map(({ epoch }) => epoch)).toEqual([2, 2]);
      await expectOneWriterAtATime(world);
      for (const worker of [old, successor]) await expectUnharmed(worker);
    },
  );

  it("refuse a one-shot of the other kind with exit code 2 and the remedy", PATIENCE, async () => {
    await using world = await createWorld();
    await using redis = await startRedis();
    const run = await seedExited(world, 1);
    const { before, after } = envs(world.env, redis);
    const old = await runOnce(before, ["once", "--run", run.id]);
    expect(old.code).toBe(0);
    await using worker = await startWorker({ ...before, ...EVERY_SECOND });
    await worker.waitForLog(reported({ status: "ok" }));

    const other = await runOnce(after, ["once"]);
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain(REMEDY);
    expect(other.stderr).toContain(`${from} lease`);
    const same = await runOnce(before, ["once", "--wait", "30s"]);
    expect(same).toMatchObject({ code: 0 });
  });
});
