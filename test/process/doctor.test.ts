/** `doctor` and `config` as somebody on call meets them: the program, its text and its exit codes. */
import { describe, expect, it } from "vitest";
import { redisUrl } from "../services/redis/redis.ts";
import { runOnce } from "../support/process/worker-process.ts";
import { createWorld } from "../support/world/world.ts";

const CAREFUL = { WATCHDOG_CONFIRMATIONS: "2", WATCHDOG_GUARD_MIN: "5" };

function linesOf(text: string): readonly string[] {
  return text.trimEnd().split("\n");
}

function widest(text: string): number {
  return Math.max(...linesOf(text).map((line) => line.length));
}

describe("run-watchdog doctor", () => {
  it("exits with 0 and finds every link of a sound installation in order", async () => {
    await using world = await createWorld();
    await world.seed();
    const env = { ...world.env, ...CAREFUL, REDIS_URL: redisUrl() };
    const { code, stdout, stderr } = await runOnce(env, ["doctor"]);
    const notOk = linesOf(stdout).filter((line) => /^(warning|failure|skipped)/.test(line));
    expect({ code, stderr, notOk }).toEqual({ code: 0, stderr: "", notOk: [] });
    expect(linesOf(stdout).at(-1)).toMatch(/^\d+ ok$/);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  it("exits with 1 for what is broken, and never wraps", async () => {
    await using world = await createWorld();
    await world.seed();
    const broken = { AUTOMATION_SERVICE_KEY: "wrong", REDIS_URL: "redis://127.0.0.1:1" };
    const { code, stdout } = await runOnce({ ...world.env, ...broken }, ["doctor"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^failure {2}redis {12}/m);
    expect(stdout).toMatch(/^failure {2}service key {6}service_api mint_api_key: HTTP 401$/m);
    expect(stdout).toMatch(/^ {9}-> check AUTOMATION_SERVICE_KEY$/m);
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  it("exits with 2 for settings that cannot be used, and looks at the rest all the same", async () => {
    await using world = await createWorld();
    await world.seed();
    const env = { ...world.env, WATCHDOG_DEFER: "soon", REDIS_URL: "http://x" };
    const { code, stdout } = await runOnce(env, ["doctor", "--json"]);
    expect(code).toBe(2);
    const { checks, exitCode } = JSON.parse(stdout);
    expect(exitCode).toBe(2);
    const results = checks.map(({ link, result }: Record<string, string>) => `${link}: ${result}`);
    expect(results.filter((text: string) => text === "settings: failure")).toHaveLength(2);
    expect(results).toContain("privileges: ok");
    expect(results).toContain("redis: skipped");
    expect(results).toContain("workers: skipped");
  });
});

describe("run-watchdog config", () => {
  it("exits with 0, shows what is set, and no secret", async () => {
    const env = {
      DATABASE_URL: "postgres://watchdog:hunter2@db.example/automations",
      AUTOMATION_OPENHANDS_API_BASE_URL: "https://app.example",
      AUTOMATION_SERVICE_KEY: "key-hunter2",
      WATCHDOG_DEFER: "30s",
    };
    const { code, stdout, stderr } = await runOnce(env, ["config"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^ {2}WATCHDOG_DEFER +30s$/m);
    expect(stdout).not.toContain("hunter2");
    expect(widest(stdout)).toBeLessThanOrEqual(80);
  });

  it("exits with 2 for settings that cannot be used, and shows them all the same", async () => {
    const { code, stdout, stderr } = await runOnce({ WATCHDOG_DEFER: "soon" }, ["config"]);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^ {2}WATCHDOG_DEFER +soon$/m);
    expect(stderr).toContain("problem: WATCHDOG_DEFER must be a duration");
    expect(stderr).toContain("problem: DATABASE_URL must be set");
  });
});
