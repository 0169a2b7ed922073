import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { SETTINGS } from "../../src/config/env/settings.ts";
import { configWith, MINIMAL_ENV, problemsWith, settled } from "../support/process/config-env.ts";

/** The host service's own settings and what its charts set, as far as they are not ours. */
const HOST_NAMES = `
  API_DEFAULT_PAGE_SIZE API_MAX_PAGE_SIZE AUTH_CACHE_SIZE AUTH_CACHE_TTL AUTH_INITIAL_BACKOFF AUTH_MAX_BACKOFF
  AUTH_MAX_RETRIES BASE_URL CALLBACK_API_KEY CALLBACK_URL CONSECUTIVE_FAILURE_DISABLE_THRESHOLD
  CONSECUTIVE_FAILURE_DISABLE_WINDOW_HOURS CORS_ORIGINS DB_MAX_OVERFLOW DB_POOL_RECYCLE DB_POOL_SIZE DB_POOL_TIMEOUT
  DISPATCHER_BATCH_SIZE DISPATCHER_INTERVAL_SECONDS ENABLE_BACKGROUND_WORKERS EXTERNAL_DOWNLOAD_TIMEOUT
  EXTERNAL_MAX_FILESIZE FAILURE_DISABLE_THRESHOLD FILE_STORE GCP_DB_INSTANCE GCP_PROJECT GCP_REGION HOST
  HTTP_LONG_TIMEOUT HTTP_TIMEOUT INTEGRATION_EVENT_RETENTION_DAYS KV_LOCK_TIMEOUT_MS KV_MAX_VALUE_SIZE KV_SECRET
  LOCAL_API_KEY LOCAL_STORAGE_PATH LOG_LEVEL MAX_STREAM_SIZE MAX_UPLOAD_SIZE PORT POSTHOG_API_KEY POSTHOG_HOST
  RATE_LIMIT_MAX_RETRIES RATE_LIMIT_MAX_WAIT RATE_LIMIT_MIN_WAIT RUN_MIGRATIONS_ON_STARTUP RUN_TIMEOUT_MARGIN
  SANDBOX_AGENT_SERVER_URL SANDBOX_POLL_INTERVAL SANDBOX_PROVISION_MAX_ATTEMPTS SANDBOX_PROVISION_RETRY_DELAY
  SCHEDULER_BATCH_SIZE SCHEDULER_INTERVAL_SECONDS SERVER_PORT SLACK_APPS STREAMS_ENABLED WATCHDOG_INTERVAL_SECONDS
  WEBHOOK_SECRET WORKSPACE_BASE WORKSPACE_RETENTION_SECONDS`
  .trim()
  .split(/\s+/)
  .map((name) => `AUTOMATION_${name}`);

describe("the list of names", () => {
  it("holds nothing that is never read", () => {
    const read = new Set<string>();
    const parts = { DATABASE_URL: undefined, AUTOMATION_DB_HOST: "db" };
    const http = { WATCHDOG_BACKEND: "http", WATCHDOG_HTTP_VERIFY_URL: "http://x/{run_id}" };
    const agent = { AUTOMATION_AGENT_SERVER_URL: "http://agent" };
    const proxy = { HTTP_PROXY: "http://proxy" };
    for (const changes of [{}, { ...parts, ...http }, agent, proxy]) {
      const env = new Proxy<Record<string, string | undefined>>(
        { ...MINIMAL_ENV, ...changes },
        {
          get(variables, name) {
            read.add(String(name));
            return Reflect.get(variables, name);
          },
          // A copy of everything is no sign that anything is used.
          ownKeys: () => [],
        },
      );
      parseConfig(env, () => "");
    }
    expect(Object.keys(SETTINGS).filter((name) => !read.has(name))).toEqual([]);
  });
});

describe("names that are not settings", () => {
  const typos = [
    { name: "WATCHDOG_CONCURENCY", meant: "WATCHDOG_CONCURRENCY" },
    { name: "WATCHDOG_LEASETTL", meant: "WATCHDOG_LEASE_TTL" },
    { name: "WATCHDOG_HTTP_TOKENFILE", meant: "WATCHDOG_HTTP_TOKEN_FILE" },
    { name: "WATCHDOG_HEALT_PORT", meant: "WATCHDOG_HEALTH_PORT" },
    { name: "AUTOMATION_MAX_RUN_DURATON", meant: "AUTOMATION_MAX_RUN_DURATION" },
    { name: "AUTOMATION_SERVICE_KYE", meant: "AUTOMATION_SERVICE_KEY" },
    { name: "AUTOMATION_SERVICE_KEYFILE", meant: "AUTOMATION_SERVICE_KEY_FILE" },
    { name: "AUTOMATION_DB_PASSWD", meant: "AUTOMATION_DB_PASS" },
    { name: "AUTOMATION_AGENTSERVER_URI", meant: "AUTOMATION_AGENT_SERVER_URL" },
    { name: "LOG_LVL", meant: "LOG_LEVEL" },
    { name: "LOG_LEVELS", meant: "LOG_LEVEL" },
    { name: "LOG_FROMAT", meant: "LOG_FORMAT" },
    { name: "REDIS_URI", meant: "REDIS_URL" },
    { name: "REDIS_ULR", meant: "REDIS_URL" },
    { name: "REDISURL", meant: "REDIS_URL" },
    { name: "REDIS_URL_FIL", meant: "REDIS_URL_FILE" },
  ];
  for (const { name, meant } of typos) {
    it(`suggests ${meant} for ${name}`, () => {
      expect(problemsWith({ [name]: "1" })).toEqual([
        `${name} is not a setting, did you mean ${meant}?`,
      ]);
    });
  }

  for (const name of ["WATCHDOG_COLOUR", "WATCHDOG_DEFERXXX", "WATCHDOG_SCHEDULE_FILE"]) {
    it(`warns once about ${name}`, () => {
      const { warnings } = configWith({ [name]: "some value" });
      expect(warnings).toEqual([`${name} is not a setting of the watchdog, it is ignored`]);
    });
  }

  const injected: readonly (readonly [string, string])[] = [
    ["WATCHDOG_SERVICE_HOST", "10.0.0.7"],
    ["WATCHDOG_SERVICE_PORT", "9464"],
    ["WATCHDOG_SERVICE_PORT_HEALTH", "9464"],
    ["WATCHDOG_PORT", "tcp://10.0.0.7:9464"],
    ["WATCHDOG_PORT_9464_TCP_ADDR", "10.0.0.7"],
    ["WATCHDOG_METRICS_PORT", "tcp://10.0.0.8:80"],
    ["AUTOMATION_PORT", "tcp://10.0.0.9:80"],
    ["AUTOMATION_DB_PORT", "tcp://10.0.0.9:5432"],
    ["AUTOMATION_DB_POR_PORT", "tcp://10.0.0.9:5432"],
    ["AUTOMATION_SERVICE_HOST", "10.0.0.9"],
    ["AUTOMATION_SERVICE_PORT_HTTP", "80"],
    ["AUTOMATION_DB_PORT_5432_TCP", "tcp://10.0.0.9:5432"],
    ["REDIS_PORT", "tcp://10.0.0.9:6379"],
    ["REDIS_PORT_6379_TCP", "tcp://10.0.0.9:6379"],
    ["REDIS_SERVICE_PORT", "6379"],
    ["WATCHDOG_USEC", "30000000"],
    ["WATCHDOG_PID", "1"],
  ];
  for (const [name, value] of injected) {
    it(`ignores ${name}, which Kubernetes or systemd sets`, () => {
      expect(configWith({ [name]: value })).toEqual(configWith({}));
    });
  }

  it("are ignored when empty or without such a prefix", () => {
    const others = {
      WATCHDOG_CONCURENCY: "",
      AUTOMATION_SERVICE_KYE: "",
      WATCHDOGS: "2",
      watchdog_defer: "1s",
      LOGLEVEL: "x",
      DB_SSLMODE: "x",
    };
    expect(configWith(others)).toEqual(configWith({}));
  });

  it("are ignored when they are the host's", () => {
    const names = HOST_NAMES.map((name) => [name, "1"]);
    expect(configWith(Object.fromEntries(names))).toEqual(configWith({}));
  });

  const others = [
    ...["LOG_JSON", "LOG_JSON_FOR_CONSOLE", "LOG_FORMATTER", "LOG_LABEL", "LOG_FILE", "LOG_DIR"],
    ...["REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_USER", "REDIS_DB", "REDISCLI_AUTH"],
    ...["REDIS_SSL", "REDIS_TLS", "REDIS_TTL", "REDIS_ACL", "REDIS_DSN", "REDIS_URLXXX"],
    ...["AUTOMATION_DB_PATH", "AUTOMATION_SERVICE_KEYXXX"],
  ];
  for (const name of others) {
    it(`are ignored when they may be anybody's, such as ${name}`, () => {
      expect(configWith({ [name]: "1" })).toEqual(configWith({}));
    });
  }

  it("are somebody else's when the name of ours that they resemble is set as well", () => {
    const ours = { REDIS_URL: "redis://cache", LOG_LEVEL: "warn" };
    const theirs = { REDIS_URI: "redis://other", LOG_LEVELS: "x" };
    expect(settled(configWith({ ...ours, ...theirs }))).toEqual(settled(configWith(ours)));
  });

  it("never include WATCHDOG_HEALTH_PORT, but a service link in it is not taken for a port", () => {
    const { config, warnings } = configWith({ WATCHDOG_HEALTH_PORT: "tcp://10.0.0.7:80" });
    expect(config.health.port).toBe(9464);
    expect(warnings).toEqual([
      "WATCHDOG_HEALTH_PORT holds a Kubernetes service link, it is ignored and 9464 is used",
    ]);
  });
});
