import { describe, expect, it } from "vitest";
import { SECRET_NAMES, SETTING_NAMES } from "../src/config/names.ts";
import { parseConfig } from "../src/config.ts";
import { configWith, MINIMAL_ENV, problemsWith } from "./support/config-env.ts";

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
    expect([...SETTING_NAMES, ...SECRET_NAMES].filter((name) => !read.has(name))).toEqual([]);
  });
});

describe("names that are not settings", () => {
  const typos = [
    { name: "WATCHDOG_CONCURENCY", meant: "WATCHDOG_CONCURRENCY" },
    { name: "WATCHDOG_LEASETTL", meant: "WATCHDOG_LEASE_TTL" },
    { name: "WATCHDOG_HTTP_TOKENFILE", meant: "WATCHDOG_HTTP_TOKEN_FILE" },
    { name: "WATCHDOG_HEALT_PORT", meant: "WATCHDOG_HEALTH_PORT" },
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
    ["WATCHDOG_USEC", "30000000"],
    ["WATCHDOG_PID", "1"],
  ];
  for (const [name, value] of injected) {
    it(`ignores ${name}, which Kubernetes or systemd sets`, () => {
      expect(configWith({ [name]: value })).toEqual(configWith({}));
    });
  }

  it("are ignored when empty or without our prefix", () => {
    const others = {
      WATCHDOG_CONCURENCY: "",
      WATCHDOGS: "2",
      watchdog_defer: "1s",
      LOG_LEVELS: "x",
    };
    expect(configWith(others)).toEqual(configWith({}));
  });

  it("never include WATCHDOG_HEALTH_PORT, but a service link in it is not taken for a port", () => {
    const { config, warnings } = configWith({ WATCHDOG_HEALTH_PORT: "tcp://10.0.0.7:80" });
    expect(config.health.port).toBe(9464);
    expect(warnings).toEqual([
      "WATCHDOG_HEALTH_PORT holds a Kubernetes service link, it is ignored and 9464 is used",
    ]);
  });
});
