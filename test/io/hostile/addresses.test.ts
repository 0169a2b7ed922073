import type { LookupFunction } from "node:net";
import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { sendJson } from "../../services/http-server.ts";
import { calm, cloudWorld, runOf, testNames } from "../http/world.ts";
import { evidenceAt, SEARCH } from "./tables/places.ts";

interface Sandbox {
  readonly url?: unknown;
  readonly sessionKey?: unknown;
}

interface Names {
  /** The API's; one that is not local by default, so that agent servers must not be local either. */
  readonly host?: string;
  readonly lookup?: LookupFunction;
  readonly agentHosts?: readonly string[];
}

/** What is learned from a sandbox that claims this, and how many questions its agent server heard. */
async function verify(
  sandbox: (port: number) => Sandbox,
  names: Names = {},
): Promise<{ readonly evidence: Evidence; readonly heard: number }> {
  const { host = "api.test", lookup = testNames, agentHosts = [] } = names;
  await using world = await cloudWorld({
    host,
    client: { lookup },
    options: { agentHosts },
    routes: {
      lookup: (_, response) => {
        const { url = world.server.origin, sessionKey = "session-1" } = sandbox(world.server.port);
        const exposed_urls = [{ name: "AGENT_SERVER", url }];
        const record = world.sandbox({ exposed_urls, session_api_key: sessionKey });
        sendJson(response, 200, [record]);
      },
    },
  });
  const evidence = await world.backend.verify(runOf(), calm());
  const heard = world.calls("search") + world.calls("event") + world.calls("info");
  return { evidence, heard };
}

function unsent(why: string) {
  const evidence = evidenceAt(SEARCH, { kind: "malformed", what: `was not sent: ${why}` });
  return { evidence, heard: 0 };
}

const FORBIDDEN = unsent("the address is not allowed");
const UNUSABLE = unsent("the sandbox's agent server url is not allowed");
const NO_KEY = unsent("the sandbox has no usable session key");

/** The first lead to the server that would answer, if they were followed. */
const forbidden: readonly string[] = [
  "127.0.0.1",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0x7f.0.0.1",
  "017700000001",
  "0177.0.0.01",
  "127.0.0.1.",
  "①②⑦.⓪.⓪.①",
  "%31%32%37.0.0.1",
  "0.0.0.0",
  "0",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[0:0:0:0:0:ffff:127.0.0.1]",
  "localhost",
  "LocalHost.",
  "agent.localhost",
  "[::1]",
  "[::]",
  "[::127.0.0.1]",
  "[64:ff9b::7f00:1]",
  "169.254.169.254",
  "0xa9fea9fe",
  "[::ffff:169.254.169.254]",
  "[fe80::a9fe:a9fe]",
  "[fd00:ec2::254]",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  "224.0.0.1",
  "255.255.255.255",
  "[ff02::1]",
  "[::ffff:0:127.0.0.1]",
  "[64:ff9b:1::7f00:1]",
  "[2002:7f00:1::]",
  "[2001:db8::5efe:127.0.0.1]",
  "[fd00:ec2::23]",
  "metadata.google.internal",
  "instance-data",
];

const unusable: readonly string[] = [
  "file:///etc/passwd",
  "file://127.0.0.1/etc/passwd",
  'data:application/json,{"items":[]}',
  "javascript:alert(1)",
  "ftp://agent.example/",
  "ws://agent.example/",
  "gopher://agent.example/",
  "blob:http://agent.example/1",
  "unix:/var/run/docker.sock",
  "http://user@agent.example/",
  "http://:password@agent.example/",
  "http://agent.example:99999/",
  "http://[::1/",
  "http://agent example/",
  "http://agent.example\u0000/",
  "http://%00/",
  "//agent.example/",
  "agent.example",
  "http://",
  " ",
  "\ud800",
];

describe("openHandsCloudBackend.verify and the addresses of agent servers", () => {
  for (const host of forbidden) {
    it(`sends nothing to ${host}`, async () => {
      expect(await verify((port) => ({ url: `http://${host}:${port}/` }))).toEqual(FORBIDDEN);
    });
  }

  it("sees through line breaks and tabs in an address", async () => {
    const url = (port: number) => `\n ht\ttp://127.0.\r\n0.1:${port}/`;
    expect(await verify((port) => ({ url: url(port) }))).toEqual(FORBIDDEN);
  });

  for (const url of unusable) {
    it(`sends nothing to ${JSON.stringify(url)}`, async () => {
      expect(await verify(() => ({ url }))).toEqual(UNUSABLE);
    });
  }

  for (const url of ["", null]) {
    it(`finds no agent server at ${JSON.stringify(url)}`, async () => {
      const evidence = { kind: "gone", reason: "no-agent-server" };
      expect(await verify(() => ({ url }))).toEqual({ evidence, heard: 0 });
    });
  }
});

describe("openHandsCloudBackend.verify and session keys that no header can carry", () => {
  for (const sessionKey of [
    "",
    " ",
    "a b",
    "a\nb",
    "a\r\nx-injected: 1",
    "a\u0000",
    "ä",
    "\ud83d",
    "\u2028",
    null,
  ]) {
    it(`sends nothing with ${JSON.stringify(sessionKey)}`, async () => {
      expect(await verify(() => ({ sessionKey }), { host: "127.0.0.1" })).toEqual(NO_KEY);
    });
  }
});

interface SuffixCase {
  readonly url: (port: number) => string;
  readonly name: string;
  readonly asked: boolean;
}

const suffixCases: readonly SuffixCase[] = [
  { name: "the host itself", url: (port) => `http://runtime.example:${port}`, asked: true },
  { name: "a host below it", url: (port) => `http://a.b.runtime.example:${port}`, asked: true },
  { name: "its full name", url: (port) => `http://A.Runtime.Example.:${port}`, asked: true },
  { name: "dots of another script", url: (port) => `http://runtime。example:${port}`, asked: true },
  { name: "a longer name", url: (port) => `http://badruntime.example:${port}`, asked: false },
  {
    name: "a name above it",
    url: (port) => `http://runtime.example.evil.test:${port}`,
    asked: false,
  },
  {
    name: "a dot in disguise",
    url: (port) => `http://runtime.example%2eevil.test:${port}`,
    asked: false,
  },
  {
    name: "the name as a path",
    url: (port) => `http://evil.test:${port}/runtime.example`,
    asked: false,
  },
  {
    name: "the name behind a backslash",
    url: (port) => `http://evil.test:${port}\\.runtime.example/`,
    asked: false,
  },
  {
    name: "the name as a fragment",
    url: (port) => `http://evil.test:${port}#.runtime.example`,
    asked: false,
  },
  {
    name: "the name as credentials",
    url: (port) => `http://runtime.example@evil.test:${port}`,
    asked: false,
  },
  {
    name: "a letter of another script",
    url: (port) => `http://runtimе.example:${port}`,
    asked: false,
  },
  { name: "an address", url: (port) => `http://127.0.0.1:${port}`, asked: false },
];

describe("openHandsCloudBackend.verify and WATCHDOG_AGENT_HOSTS", () => {
  const toLoopback: LookupFunction = (_, options, callback) =>
    testNames("any.test", options, callback);
  const names: Names = {
    host: "127.0.0.1",
    lookup: toLoopback,
    agentHosts: ["runtime.example"],
  };

  for (const { name, url, asked } of suffixCases) {
    it(`${asked ? "asks" : "does not ask"} ${name}`, async () => {
      const outcome = await verify((port) => ({ url: url(port) }), names);
      expect(outcome).toEqual(asked ? { evidence: SEARCH.learned, heard: 1 } : UNUSABLE);
    });
  }
});
