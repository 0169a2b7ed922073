import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { configWith, problemsWith, settled } from "../support/process/config-env.ts";

const noCloud = { AUTOMATION_OPENHANDS_API_BASE_URL: undefined, AUTOMATION_SERVICE_KEY: undefined };
const http = { ...noCloud, WATCHDOG_BACKEND: "http" };
const verify = { WATCHDOG_HTTP_VERIFY_URL: "https://verify.example/runs/{run_id}" };
const agent = { AUTOMATION_AGENT_SERVER_URL: "http://agent:60000/" };

describe("WATCHDOG_BACKEND", () => {
  const chosen = [
    { name: "is openhands-cloud by itself", env: {}, kind: "openhands-cloud" },
    { name: "is agent-server when its URL is set", env: agent, kind: "agent-server" },
    {
      name: "goes by the choice, not by the agent server's URL",
      env: { ...agent, WATCHDOG_BACKEND: "OpenHands-Cloud" },
      kind: "openhands-cloud",
    },
    {
      name: "lets http win over the others",
      env: { ...agent, ...verify, WATCHDOG_BACKEND: "http" },
      kind: "http",
    },
  ];
  for (const { name, env, kind } of chosen) {
    it(name, () => {
      expect(configWith(env).config.backend.kind).toBe(kind);
    });
  }

  it("is the only problem when it is unknown, because the needs of a backend are not known then", () => {
    expect(problemsWith({ ...noCloud, WATCHDOG_BACKEND: "docker" })).toEqual([
      'WATCHDOG_BACKEND must be one of auto, openhands-cloud, agent-server, http, got "docker"',
    ]);
  });

  it("warns about a verify URL that nobody uses", () => {
    expect(configWith(verify).warnings).toEqual([
      "WATCHDOG_HTTP_VERIFY_URL is ignored by the openhands-cloud backend, set WATCHDOG_BACKEND=http to use it",
    ]);
  });
});

describe("a backend of the caller's own", () => {
  const only = { DATABASE_URL: "postgres://me:pw@db/app" };

  it("needs no setting of another one", () => {
    const { config, warnings } = parseConfig(only, () => "", { backend: "own" });
    expect(config.backend).toEqual({ kind: "own" });
    expect(warnings).toEqual([]);
    expect(() => parseConfig(only, () => "")).toThrow("AUTOMATION_SERVICE_KEY must be set");
  });

  it("has no use for what is wrong with them, or with a proxy", () => {
    const wrong = { WATCHDOG_BACKEND: "x", WATCHDOG_AGENT_HOSTS: "/", HTTP_PROXY: "socks5://x" };
    const { config } = parseConfig({ ...only, ...wrong }, () => "", { backend: "own" });
    expect(config.proxy.current).toBeNull();
  });
});

describe("the openhands-cloud backend", () => {
  it("needs a base URL and a service key and says how to do without", () => {
    const why =
      "for the openhands-cloud backend (or choose another one: AUTOMATION_AGENT_SERVER_URL, WATCHDOG_BACKEND=http), got nothing";
    expect(problemsWith(noCloud)).toEqual([
      `AUTOMATION_OPENHANDS_API_BASE_URL must be set ${why}`,
      `AUTOMATION_SERVICE_KEY must be set ${why}`,
    ]);
  });

  it("does not call a key missing that could not be read", () => {
    const env = { AUTOMATION_SERVICE_KEY: undefined, AUTOMATION_SERVICE_KEY_FILE: "/gone" };
    expect(problemsWith(env)).toHaveLength(1);
  });

  const hosts: readonly (readonly [string, readonly string[]])[] = [
    ["Example.COM", ["example.com"]],
    [" a.example , .b.example,*.c.example,", ["a.example", "b.example", "c.example"]],
    ["10.0.0.1", ["10.0.0.1"]],
  ];
  for (const [text, agentHosts] of hosts) {
    it(`reads the agent hosts "${text}"`, () => {
      const { backend } = configWith({ WATCHDOG_AGENT_HOSTS: text }).config;
      expect(backend).toMatchObject({ agentHosts });
    });
  }

  for (const text of [
    ",",
    "https://a.example",
    "a.example:443",
    "a b",
    "*.",
    "a.*.example",
    "a..b",
  ]) {
    it(`refuses the agent hosts "${text}"`, () => {
      expect(problemsWith({ WATCHDOG_AGENT_HOSTS: text })).toEqual([
        `WATCHDOG_AGENT_HOSTS must be host names separated by commas, without scheme or port, got "${text}"`,
      ]);
    });
  }
});

describe("the agent-server backend", () => {
  it("takes its URL and key, and needs nothing of the cloud", () => {
    const { backend } = configWith({
      ...noCloud,
      ...agent,
      AUTOMATION_AGENT_SERVER_API_KEY: "k",
    }).config;
    expect(settled(backend)).toEqual({
      kind: "agent-server",
      baseUrl: "http://agent:60000",
      apiKey: "k",
    });
  });

  it("goes without a key", () => {
    const { backend } = configWith({ ...noCloud, ...agent }).config;
    expect(settled(backend)).toMatchObject({ apiKey: null });
  });

  it("needs its URL when it is chosen by name", () => {
    expect(problemsWith({ ...noCloud, WATCHDOG_BACKEND: "agent-server" })).toEqual([
      "AUTOMATION_AGENT_SERVER_URL must be set for the agent-server backend, got nothing",
    ]);
  });
});

describe("a base URL", () => {
  const name = "AUTOMATION_OPENHANDS_API_BASE_URL";
  const good: readonly (readonly [string, string])[] = [
    ["https://app.example", "https://app.example"],
    ["https://App.Example/", "https://app.example"],
    ["http://app.example:3000/base//", "http://app.example:3000/base"],
  ];
  for (const [text, baseUrl] of good) {
    it(`is taken from ${text}`, () => {
      expect(configWith({ [name]: text }).config.backend).toMatchObject({ baseUrl });
    });
  }

  const refused = [
    { text: "app.example", says: 'must be a URL such as https://host/path, got "app.example"' },
    { text: "ftp://app.example", says: 'got "ftp://app.example"' },
    { text: "https:app.example", says: "must be a URL such as" },
    { text: "https:///path", says: "must be a URL such as" },
    { text: "https://a b/", says: "must be a URL such as" },
    { text: "https://app.example:65536", says: "must be a URL such as" },
    { text: "https://me:hidden@app.example", says: "must not have a user or password in it" },
    { text: "https://hidden@app.example", says: "must not have a user or password in it" },
    { text: "me:hidden@app.example", says: 'got a value with "@"' },
    { text: "https://app.example?key=hidden", says: "must not have a query or fragment" },
    { text: "https://app.example/?", says: "must not have a query or fragment" },
    { text: "https://app.example/#hidden", says: "must not have a query or fragment" },
    { text: "app.example?key=hidden", says: 'got "app.example"' },
  ];
  for (const { text, says } of refused) {
    it(`is refused in the form ${text}`, () => {
      const [problem, ...others] = problemsWith({ [name]: text });
      expect(problem).toMatch(/^AUTOMATION_OPENHANDS_API_BASE_URL must /);
      expect(problem).toContain(says);
      expect(problem).not.toContain("hidden");
      expect(others).toEqual([]);
    });
  }
});

describe("the http backend", () => {
  it("takes its URLs as they were written, and the token", () => {
    const env = {
      ...http,
      WATCHDOG_HTTP_VERIFY_URL:
        "https://Verify.example/{run_id}?s={sandbox_id}&c={bash_command_id}&again={run_id}",
      WATCHDOG_HTTP_CLEANUP_URL: "https://verify.example/sandboxes/{sandbox_id}",
      WATCHDOG_HTTP_TOKEN: "t0ken",
    };
    expect(settled(configWith(env).config.backend)).toEqual({
      kind: "http",
      verifyUrl: env.WATCHDOG_HTTP_VERIFY_URL,
      cleanupUrl: env.WATCHDOG_HTTP_CLEANUP_URL,
      token: "t0ken",
    });
  });

  it("goes without clean-up URL and token", () => {
    const { backend } = configWith({ ...http, ...verify }).config;
    expect(settled(backend)).toMatchObject({ cleanupUrl: null, token: null });
  });

  it("needs a verify URL", () => {
    expect(problemsWith(http)).toEqual([
      "WATCHDOG_HTTP_VERIFY_URL must be set for the http backend, got nothing",
    ]);
  });

  const refused = [
    { url: "https://x/runs", says: "must contain {run_id}, got none" },
    { url: "https://x/{sandbox_id}", says: "must contain {run_id}, got none" },
    { url: "https://x/{run_id}/{user}", says: 'got "{user}"' },
    { url: "https://x/{runId}", says: 'got "{runId}"' },
    { url: "https://x/{{run_id}}", says: 'got "{"' },
    { url: "https://x/{run_id}}", says: 'got "}"' },
    { url: "https://x/{run_id", says: 'got "{run_id"' },
    { url: "https://{run_id}.x/", says: "in path or query only" },
    { url: "https://x:{run_id}/", says: "must be a URL such as" },
    { url: "https://x/{run_id}#top", says: "must not have a fragment" },
    { url: "https://me:pw@x/{run_id}", says: "must not have a user or password in it" },
    { url: "https://x\\{run_id}", says: "must be a URL such as" },
    { url: "verify/{run_id}", says: "must be a URL such as" },
  ];
  for (const { url, says } of refused) {
    it(`refuses the verify URL ${url}`, () => {
      const [problem, ...others] = problemsWith({ ...http, WATCHDOG_HTTP_VERIFY_URL: url });
      expect(problem).toMatch(/^WATCHDOG_HTTP_VERIFY_URL must /);
      expect(problem).toContain(says);
      expect(others).toEqual([]);
    });
  }

  for (const url of ["https://x/all", "https://x/{sandbox_id}/{run_id}"]) {
    it(`refuses the clean-up URL ${url}`, () => {
      const problems = problemsWith({ ...http, ...verify, WATCHDOG_HTTP_CLEANUP_URL: url });
      expect(problems).toEqual([
        expect.stringMatching(/^WATCHDOG_HTTP_CLEANUP_URL must .*\{sandbox_id\}/),
      ]);
    });
  }
});
