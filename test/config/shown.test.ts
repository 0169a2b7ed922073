import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { configFingerprint, parseConfig } from "../../src/config/config.ts";
import { SETTINGS, type VariableName } from "../../src/config/env/settings.ts";
import { showConfig } from "../../src/config/shown.ts";
import { humanConfig, jsonConfig } from "../../src/report/doctor/config.ts";
import { MINIMAL_ENV } from "../support/process/config-env.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/** Each is a whole environment. */
const FEW = { numRuns: 15 };

function show(extra: Variables = {}, readFile: (path: string) => string = () => "") {
  return showConfig({ ...MINIMAL_ENV, ...extra }, readFile);
}

function settingOf(name: VariableName, extra: Variables, readFile?: (path: string) => string) {
  return show(extra, readFile).settings.find((each) => each.name === name);
}

describe("showConfig", () => {
  it("names every setting once, in their order", () => {
    expect(show().settings.map(({ name }) => name)).toEqual(Object.keys(SETTINGS));
  });

  it("says where a value came from", () => {
    expect(settingOf("WATCHDOG_DEFER", {})).toMatchObject({ value: "45s", source: "default" });
    expect(settingOf("WATCHDOG_DEFER", { WATCHDOG_DEFER: " 30s " })).toMatchObject({
      value: "30s",
      source: "variable",
    });
    const fromFile = { AUTOMATION_SERVICE_KEY: "", AUTOMATION_SERVICE_KEY_FILE: "/keys/one" };
    expect(settingOf("AUTOMATION_SERVICE_KEY", fromFile, () => "k")).toEqual({
      name: "AUTOMATION_SERVICE_KEY",
      value: "***",
      source: "file",
      file: "/keys/one",
      used: true,
    });
  });

  it("takes an empty variable for unset, as the worker does", () => {
    expect(settingOf("WATCHDOG_DEFER", { WATCHDOG_DEFER: "  " })?.source).toBe("default");
  });

  it("tells what has no effect: the parts beside a URL, and another backend's key", () => {
    const extra = { AUTOMATION_DB_HOST: "db", WATCHDOG_HTTP_TOKEN: "t" };
    expect(settingOf("AUTOMATION_DB_HOST", extra)?.used).toBe(false);
    expect(settingOf("WATCHDOG_HTTP_TOKEN", extra)?.used).toBe(false);
    expect(settingOf("DATABASE_URL", extra)?.used).toBe(true);
    const parts = { ...extra, DATABASE_URL: undefined };
    expect(settingOf("AUTOMATION_DB_HOST", parts)?.used).toBe(true);
  });

  it("has the fingerprint that workers show", () => {
    const { config } = parseConfig(MINIMAL_ENV, () => "");
    expect(show().fingerprint).toBe(configFingerprint(config));
  });

  it("derives backend, addresses, lease and interval", () => {
    const { derived } = show({
      DATABASE_URL: "postgres://me:pw@db.example:5433/app?sslmode=require",
      REDIS_URL: "rediss://:pw@redis.example",
      WATCHDOG_SCHEDULE: "*/2 * * * *",
    });
    expect(derived).toEqual([
      { name: "backend", value: "openhands-cloud" },
      { name: "postgres", value: "db.example:5433, TLS require" },
      { name: "lease", value: "redis redis.example:6379, TLS on" },
      { name: "shortest interval", value: "120 s" },
    ]);
  });

  it("shows what is set together with its problems, and no fingerprint then", () => {
    const shown = show({ WATCHDOG_DEFER: "soon" });
    expect(shown.fingerprint).toBeNull();
    expect(shown.problems).toEqual([expect.stringContaining("WATCHDOG_DEFER must be a duration")]);
    expect(shown.settings.find(({ name }) => name === "WATCHDOG_DEFER")?.value).toBe("soon");
  });
});

describe("no part of a secret is shown", () => {
  const secret = fc.stringMatching(/^[a-zA-Z0-9]{12,40}$/);
  const proxies = Object.keys(SETTINGS).filter((name) => /^(https?|all)_proxy$/i.test(name));
  const secrets = Object.entries(SETTINGS).flatMap(([name, { kind }]) =>
    kind === "secret" ? [name] : [],
  );

  function expectHidden(extra: Variables, hidden: string, readFile?: () => string) {
    const shown = show(extra, readFile);
    // Problems are other tests' business: they quote no secret either.
    const { problems: _, warnings: __, ...rest } = shown;
    const text = JSON.stringify(rest) + humanConfig(shown);
    for (let at = 0; at + 6 <= hidden.length; at += 6) {
      expect(text).not.toContain(hidden.slice(at, at + 6));
    }
  }

  it.each([...secrets, ...proxies])("of %s, whatever it is", (name) => {
    fc.assert(
      fc.property(secret, (value) => expectHidden({ [name]: value }, value)),
      FEW,
    );
  });

  it.each(secrets)("of the file of %s", (name) => {
    const extra = { [name]: undefined, [`${name}_FILE`]: "/keys/one" };
    fc.assert(
      fc.property(secret, (value) => expectHidden(extra, value, () => value)),
      FEW,
    );
  });

  const places: readonly (readonly [VariableName, (secret: string) => string])[] = [
    ["DATABASE_URL", (value) => `postgres://user:${value}@host/app`],
    ["DATABASE_URL", (value) => `postgres://${value}:pw@host/app`],
    ["REDIS_URL", (value) => `redis://${value}@host`],
    ["HTTP_PROXY", (value) => `http://user:${value}@proxy:3128`],
    ["AUTOMATION_OPENHANDS_API_BASE_URL", (value) => `https://user:${value}@api.example`],
    ["AUTOMATION_DB_HOST", (value) => `postgres://user:${value}@host/app`],
    ["NO_PROXY", (value) => `user:${value}@host`],
    ["WATCHDOG_HTTP_VERIFY_URL", (value) => `https://x.example/{run_id}?token=${value}`],
  ];
  it.each(places)("in a place of %s", (name, write) => {
    fc.assert(
      fc.property(secret, (value) => expectHidden({ [name]: write(value) }, value)),
      FEW,
    );
  });
});

describe("humanConfig", () => {
  it("groups by where values came from", () => {
    const text = humanConfig(show({ WATCHDOG_DEFER: "30s", WATCHDOG_HTTP_TOKEN: "t" }));
    const titles = text.split("\n").filter((line) => /^\w.*:$/.test(line));
    expect(titles).toEqual([
      "set by variables:",
      "set, but not used with these settings:",
      "derived:",
      "defaults:",
    ]);
    expect(text).toMatch(/^ {2}WATCHDOG_DEFER +30s$/m);
    expect(text).toMatch(/\nfingerprint [0-9a-f]{12}\n$/);
  });

  it("never needs more than 80 columns", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z.,]{1,300}$/), (hosts) => {
        const lines = humanConfig(show({ WATCHDOG_AGENT_HOSTS: hosts })).split("\n");
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
      }),
      FEW,
    );
  });
});

describe("jsonConfig", () => {
  it("is one document on one line", () => {
    const shown = show();
    expect(JSON.parse(jsonConfig(shown, 0))).toEqual({
      version: 1,
      status: "ok",
      exitCode: 0,
      ...shown,
    });
    expect(jsonConfig(show({ WATCHDOG_DEFER: "x" }), 2)).toContain('"status":"problems"');
  });
});
