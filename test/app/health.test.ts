import { describe, expect, it } from "vitest";
import { healthAnswers } from "../../src/app/health.ts";
import { parseConfig } from "../../src/config/config.ts";
import { documentProblems } from "../report/schema/document-problems.ts";
import { settle } from "../support/memory/fake-clock.ts";
import { shardCrew } from "../support/stands/shard-crew.ts";
import { workerWorld } from "../support/stands/worker-world.ts";

const ENV = {
  DATABASE_URL: "postgres://u@db.example/d",
  REDIS_URL: "redis://redis.example",
  AUTOMATION_OPENHANDS_API_BASE_URL: "https://api.example",
  AUTOMATION_SERVICE_KEY: "key",
};

const BUILD = { version: "0", node: "0", fingerprint: "0" };

describe("healthAnswers", () => {
  it("say why an attempt to sweep failed, without the addresses of the stores", () => {
    const known = { ...workerWorld().facts(), postgres: "ok", lease: "ok" } as const;
    const attemptFailure = "acquiring the lease at redis redis.example:6379 failed: READONLY";
    const { config } = parseConfig(ENV, () => "");
    const answers = healthAnswers(config, BUILD, () => ({ ...known, attemptFailure }));
    expect(answers["/health"]().body).toMatchObject({
      status: "degraded",
      reasons: [
        "the last attempt to sweep failed: acquiring the lease at redis <address> failed: READONLY",
      ],
    });
  });

  it("tell of each shard what this worker does about it, who led it last, and when", async () => {
    await using crew = shardCrew({ shards: 4, workers: 1 });
    const { config } = parseConfig({ ...ENV, WATCHDOG_SHARDS: "4" }, () => "");
    const facts = () => crew.workers[0]?.facts() ?? workerWorld().facts();
    const answers = healthAnswers(config, BUILD, facts);
    const document = () => JSON.parse(JSON.stringify(answers["/health"]().body));
    expect(documentProblems("health.json", document())).toEqual([]);
    await settle();
    await crew.tick();
    const lead = { role: "idle", leader: "host-1/4711/ab12" };
    expect(document().shards).toMatchObject([lead, lead, lead, lead]);
    await crew.clock.advance(57_500);
    await crew.tick(0);
    await crew.clock.advance(5000);
    expect(documentProblems("health.json", document())).toEqual([]);
    expect(document().shards[3]).toEqual({
      shard: 3,
      role: "idle",
      leader: "host-1/4711/ab12",
      finishedSecondsAgo: 5,
      progressedSecondsAgo: 5,
    });
  });
});
