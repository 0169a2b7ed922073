import { describe, expect, it } from "vitest";
import { healthAnswers } from "../../src/app/health.ts";
import { parseConfig } from "../../src/config/config.ts";
import { workerWorld } from "../support/stands/worker-world.ts";

const ENV = {
  DATABASE_URL: "postgres://u@db.example/d",
  REDIS_URL: "redis://redis.example",
  AUTOMATION_OPENHANDS_API_BASE_URL: "https://api.example",
  AUTOMATION_SERVICE_KEY: "key",
};

describe("healthAnswers", () => {
  it("say why an attempt to sweep failed, without the addresses of the stores", () => {
    const known = { ...workerWorld().facts(), postgres: "ok", lease: "ok" } as const;
    const attemptFailure = "acquiring the lease at redis redis.example:6379 failed: READONLY";
    const { config } = parseConfig(ENV, () => "");
    const build = { version: "0", node: "0", fingerprint: "0" };
    const answers = healthAnswers(config, build, () => ({ ...known, attemptFailure }));
    expect(answers["/health"]().body).toMatchObject({
      status: "degraded",
      reasons: [
        "the last attempt to sweep failed: acquiring the lease at redis <address> failed: READONLY",
      ],
    });
  });
});
