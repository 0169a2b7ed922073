import { describe, expect, it } from "vitest";
import { ConfigError, parsePart } from "../../src/config/config.ts";
import { readDatabase } from "../../src/config/database.ts";
import { configWith, problemsWith, readerOf, settled } from "../support/process/config-env.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

describe("parseConfig", () => {
  it("takes the documented defaults from the least environment", () => {
    expect(settled(configWith({}))).toEqual({
      warnings: [],
      config: {
        database: {
          endpoint: {
            host: "db.example",
            port: 5432,
            path: null,
            database: "automations",
            user: "watchdog",
            password: "pw",
            tls: "prefer",
          },
          poolSize: 8,
          pooler: "auto",
        },
        redis: null,
        mode: "live",
        schedule: { pattern: "* * * * *" },
        lease: { ttlMs: 15_000, renewMs: 5_000, marginMs: 2_000 },
        shards: 1,
        sweep: {
          concurrency: 16,
          apiConcurrency: 8,
          pageSize: 500,
          verifyTimeoutMs: 30_000,
          deferMs: 45_000,
          nullDeadlineAfterMs: DAY_MS,
        },
        verdict: {
          defaultRunMs: 600_000,
          maxRunMs: 1_800_000,
          readyTimeoutMs: 300_000,
          hardGraceMs: 600_000,
        },
        guard: {
          confirmations: 2,
          min: 5,
          ratio: 0.25,
          perHour: 60,
          unverifiableAfterMs: DAY_MS,
        },
        cleanup: {
          cleanupDelayMs: 5 * MINUTE_MS,
          hostCleanupDelayMs: 0,
          journalRetentionMs: 90 * DAY_MS,
        },
        backend: {
          kind: "openhands-cloud",
          baseUrl: "https://app.example",
          serviceKey: "service-key",
          agentHosts: [],
        },
        proxy: null,
        health: { host: "::", port: 9464 },
        log: { level: "info", format: null },
      },
    });
  });

  it("takes an empty or blank variable for unset", () => {
    const blank = { WATCHDOG_CONCURRENCY: "", WATCHDOG_DEFER: "  ", REDIS_URL: "", LOG_LEVEL: "" };
    expect(settled(configWith(blank))).toEqual(settled(configWith({})));
  });

  it("ignores blanks around a value", () => {
    expect(configWith({ WATCHDOG_CONCURRENCY: " 3\r\n" }).config.sweep.concurrency).toBe(3);
  });

  it("freezes the result down to its leaves", () => {
    const { config } = configWith({ WATCHDOG_AGENT_HOSTS: "example.com" });
    const objects = [config, ...Object.values(config).filter((part) => part !== null)];
    expect(objects.every((part) => Object.isFrozen(part))).toBe(true);
    expect(config.backend.kind === "openhands-cloud" && config.backend.agentHosts).toSatisfy(
      Object.isFrozen,
    );
  });

  it("reports every problem in one error", () => {
    const problems = problemsWith({
      DATABASE_URL: undefined,
      REDIS_URL: "redis+sentinel://one",
      WATCHDOG_SCHEDULE: "sometimes",
      WATCHDOG_LEASE_TTL: "9s",
      WATCHDOG_PAGE_SIZE: "0",
      WATCHDOG_CONCURENCY: "4",
      AUTOMATION_MAX_RUN_DURATION: "30m",
      AUTOMATION_SERVICE_KEY: undefined,
      WATCHDOG_HEALTH_PORT: "http",
      LOG_LEVEL: "loud",
    });
    expect(problems.map((text) => text.split(" ", 1)[0])).toEqual([
      "DATABASE_URL",
      "REDIS_URL",
      "WATCHDOG_SCHEDULE",
      "WATCHDOG_PAGE_SIZE",
      "AUTOMATION_MAX_RUN_DURATION",
      "AUTOMATION_SERVICE_KEY",
      "WATCHDOG_HEALTH_PORT",
      "LOG_LEVEL",
      "WATCHDOG_LEASE_TTL",
      "WATCHDOG_CONCURENCY",
    ]);
  });

  it("puts every problem into the error's message, one line each", () => {
    const error = new ConfigError(["A must be set, got nothing", "B must be a number"]);
    expect(error.message.split("\n").slice(1)).toEqual([
      "  A must be set, got nothing",
      "  B must be a number",
    ]);
  });

  it("quotes what was found on one line, cut to a bounded size", () => {
    const [problem = ""] = problemsWith({ WATCHDOG_BACKEND: `a\nb${"c".repeat(500)}` });
    expect(problem).toContain('got "a\\nbccc');
    expect(problem).not.toContain("\n");
    expect(problem.length).toBeLessThan(250);
  });
});

describe("the lease's relations", () => {
  const cases = [
    { name: "accepts a ttl 1 ms longer than twice the renewal", ttl: "10001ms", found: null },
    {
      name: "refuses a ttl of exactly twice the renewal",
      ttl: "10s",
      found:
        "WATCHDOG_LEASE_TTL must be longer than twice WATCHDOG_LEASE_RENEW (5000 ms), got 10000 ms",
    },
    { name: "accepts a margin 1 ms short of ttl minus renewal", margin: "9999ms", found: null },
    {
      name: "refuses a margin of exactly ttl minus renewal",
      margin: "10s",
      found:
        "WATCHDOG_LEASE_MARGIN must be shorter than WATCHDOG_LEASE_TTL minus WATCHDOG_LEASE_RENEW (10000 ms), got 10000 ms",
    },
    {
      name: "says nothing about the ttl when the renewal itself is wrong",
      ttl: "2s",
      renew: "never",
      found: expect.stringMatching(/^WATCHDOG_LEASE_RENEW must be a duration/),
    },
    {
      name: "says nothing about the margin when the margin itself is wrong",
      // The default margin would not fit.
      ttl: "3s",
      renew: "1s",
      margin: "wide",
      found: expect.stringMatching(/^WATCHDOG_LEASE_MARGIN must be a duration/),
    },
  ];
  for (const { name, ttl, renew, margin, found } of cases) {
    it(name, () => {
      const problems = problemsWith({
        WATCHDOG_LEASE_TTL: ttl,
        WATCHDOG_LEASE_RENEW: renew,
        WATCHDOG_LEASE_MARGIN: margin,
      });
      expect(problems).toEqual(found === null ? [] : [found]);
    });
  }
});

describe("parsePart", () => {
  it("needs nothing but the database", () => {
    const { config } = parsePart(
      { DATABASE_URL: "postgres://me@db/app", WATCHDOG_DB_POOLER: "on", WATCHDOG_DEFER: "soon" },
      readerOf({}),
      readDatabase,
    );
    expect(settled(config)).toMatchObject({
      endpoint: { host: "db", user: "me", database: "app" },
      pooler: "on",
    });
    expect(Object.isFrozen(config)).toBe(true);
  });

  it("throws a ConfigError without a database", () => {
    expect(() => parsePart({}, readerOf({}), readDatabase)).toThrow(ConfigError);
  });
});
