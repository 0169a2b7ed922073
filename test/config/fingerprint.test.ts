import { describe, expect, it } from "vitest";
import { configFingerprint, parseConfig } from "../../src/config/config.ts";
import { MINIMAL_ENV, readerOf } from "../support/process/config-env.ts";

describe("configFingerprint", () => {
  const everything = {
    ...MINIMAL_ENV,
    REDIS_URL: "rediss://user:pw@redis.example:6380/2",
    WATCHDOG_AGENT_HOSTS: "example.com",
  };
  const fingerprint = (changes: Readonly<Record<string, string>>) =>
    configFingerprint(parseConfig({ ...everything, ...changes }, readerOf({})).config);

  it("is twelve hex digits and the same for the same settings", () => {
    expect(fingerprint({})).toMatch(/^[0-9a-f]{12}$/);
    expect(fingerprint({})).toBe(fingerprint({}));
  });

  it("is the same for one database written as a URL and as parts", () => {
    const parts = {
      DATABASE_URL: "",
      AUTOMATION_DB_HOST: "db.example",
      AUTOMATION_DB_USER: "watchdog",
    };
    expect(fingerprint(parts)).toBe(fingerprint({}));
  });

  const secrets: readonly Readonly<Record<string, string>>[] = [
    { AUTOMATION_SERVICE_KEY: "another" },
    { DATABASE_URL: "postgres://watchdog:another@db.example/automations" },
    { DATABASE_URL: "postgres://watchdog@db.example/automations" },
    { REDIS_URL: "rediss://user:another@redis.example:6380/2" },
  ];
  for (const secret of secrets) {
    it(`does not change with the secret in ${JSON.stringify(secret)}`, () => {
      expect(fingerprint(secret)).toBe(fingerprint({}));
    });
  }

  it("does not change with the agent server's key or the endpoint's token", () => {
    const shared = { AUTOMATION_AGENT_SERVER_URL: "http://agent" };
    const http = { WATCHDOG_BACKEND: "http", WATCHDOG_HTTP_VERIFY_URL: "http://x/{run_id}" };
    expect(fingerprint({ ...shared, AUTOMATION_AGENT_SERVER_API_KEY: "k" })).toBe(
      fingerprint(shared),
    );
    expect(fingerprint({ ...http, WATCHDOG_HTTP_TOKEN: "t" })).toBe(fingerprint(http));
  });

  const settings: Readonly<Record<string, string>> = {
    DATABASE_URL: "postgres://watchdog:pw@db.example/other",
    REDIS_URL: "rediss://user:pw@redis.example:6380/3",
    WATCHDOG_SCHEDULE: "*/2 * * * *",
    WATCHDOG_LEASE_TTL: "16s",
    WATCHDOG_LEASE_RENEW: "4s",
    WATCHDOG_LEASE_MARGIN: "1s",
    WATCHDOG_CONCURRENCY: "15",
    WATCHDOG_API_CONCURRENCY: "7",
    WATCHDOG_PAGE_SIZE: "499",
    WATCHDOG_SHARDS: "2",
    WATCHDOG_DB_POOL: "7",
    WATCHDOG_DB_POOLER: "on",
    WATCHDOG_VERIFY_TIMEOUT: "29s",
    WATCHDOG_DEFER: "44s",
    WATCHDOG_UNVERIFIABLE_AFTER: "23h",
    WATCHDOG_NULL_DEADLINE_AFTER: "23h",
    WATCHDOG_CONFIRMATIONS: "3",
    WATCHDOG_GUARD_MIN: "6",
    WATCHDOG_GUARD_RATIO: "0.3",
    WATCHDOG_GUARD_PER_HOUR: "61",
    WATCHDOG_CLEANUP_DELAY: "6m",
    WATCHDOG_JOURNAL_RETENTION: "91d",
    WATCHDOG_BACKEND: "agent-server",
    WATCHDOG_AGENT_HOSTS: "example.org",
    AUTOMATION_OPENHANDS_API_BASE_URL: "https://other.example",
    AUTOMATION_AGENT_SERVER_URL: "http://agent",
    AUTOMATION_DEFAULT_RUN_DURATION: "601",
    AUTOMATION_MAX_RUN_DURATION: "1801",
    AUTOMATION_SANDBOX_READY_TIMEOUT: "301",
    AUTOMATION_RUN_TIMEOUT_HARD_GRACE: "601",
    AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: "1",
    WATCHDOG_HEALTH_HOST: "127.0.0.1",
    WATCHDOG_HEALTH_PORT: "off",
    LOG_LEVEL: "debug",
    LOG_FORMAT: "json",
  };
  for (const [name, value] of Object.entries(settings)) {
    it(`changes with ${name}`, () => {
      const context =
        name === "WATCHDOG_BACKEND" ? { AUTOMATION_AGENT_SERVER_URL: "http://a" } : {};
      const before = fingerprint(name === "WATCHDOG_BACKEND" ? {} : context);
      expect(fingerprint({ ...context, [name]: value })).not.toBe(before);
    });
  }
});
