import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { describe, expect, it } from "vitest";
import { sendJson } from "../../services/http-server.ts";
import { calm, cloudWorld, runOf, testNames } from "../http/world.ts";
import { type Expected, evidenceAt, MINT, SEARCH } from "./tables/places.ts";

/** Asks an agent server with a name of its own, when that name resolves like this. */
async function verify(resolve: LookupFunction) {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, options, callback) => {
    if (hostname === "api.test") return testNames(hostname, options, callback);
    asked.push(hostname);
    resolve(hostname, options, callback);
  };
  await using world = await cloudWorld({
    host: "api.test",
    client: { lookup, connectTimeoutMs: 300 },
    routes: {
      lookup: (_, response) => {
        const url = `http://tenant-7.example:${world.server.port}/`;
        sendJson(response, 200, [world.sandbox({ exposed_urls: [{ name: "AGENT_SERVER", url }] })]);
      },
    },
  });
  const evidence = await world.backend.verify(runOf(), calm());
  return { evidence, asked, heard: world.calls("search") };
}

function to(...addresses: readonly LookupAddress[]): LookupFunction {
  return (_, __, callback) => callback(null, [...addresses]);
}

function failing(error: Error): LookupFunction {
  return (_, __, callback) => callback(error, []);
}

const v4 = (address: string) => ({ address, family: 4 });
const v6 = (address: string) => ({ address, family: 6 });

const forbidden: readonly (readonly [name: string, lookup: LookupFunction])[] = [
  ["this host", to(v4("127.0.0.1"))],
  ["another address of this host", to(v4("127.8.9.10"))],
  ["this host in IPv6", to(v6("::1"))],
  ["this host as IPv6 writes IPv4", to(v6("::ffff:127.0.0.1"))],
  ["no particular address", to(v4("0.0.0.0"))],
  ["the metadata service", to(v4("169.254.169.254"))],
  ["the metadata service in IPv6", to(v6("fd00:ec2::254"))],
  ["the metadata service behind NAT64", to(v6("64:ff9b::a9fe:a9fe"))],
  ["this link", to(v6("fe80::1"))],
  ["a good address and this host", to(v4("203.0.113.7"), v4("127.0.0.1"))],
  ["a good address and this host in IPv6", to(v4("203.0.113.7"), v6("::1"))],
  ["nothing at all", to()],
];

describe("openHandsCloudBackend.verify and names of agent servers", () => {
  for (const [name, lookup] of forbidden) {
    it(`sends nothing to a name that resolves to ${name}`, async () => {
      expect(await verify(lookup)).toEqual({
        evidence: evidenceAt(SEARCH, {
          kind: "malformed",
          what: "was not sent: the address is not allowed",
        }),
        asked: ["tenant-7.example"],
        heard: 0,
      });
    });
  }

  const failures: readonly (readonly [name: string, error: Error, code: string])[] = [
    ["a name that there is not", withCode("ENOTFOUND"), "ENOTFOUND"],
    ["a resolver that is busy", withCode("EAI_AGAIN"), "EAI_AGAIN"],
    ["a resolver that fails", withCode("ESERVFAIL"), "ESERVFAIL"],
    ["an error without a code", new Error("getaddrinfo tenant-7.example"), "Error"],
    ["a code with the name in it", withCode("ENOTFOUND tenant-7.example"), "unknown"],
  ];
  for (const [name, error, code] of failures) {
    it(`tells of ${name} by a word of its own`, async () => {
      const { evidence, heard } = await verify(failing(error));
      expect(evidence).toEqual(
        evidenceAt(SEARCH, {
          kind: "unreachable",
          failure: "transport",
          what: `transport error: ${code}`,
        }),
      );
      expect(heard).toBe(0);
    });
  }

  it("waits for a resolver no longer than for a connection", async () => {
    const expected: Expected = {
      kind: "unreachable",
      failure: "timeout",
      what: "timed out: no connection within 300 ms",
    };
    expect((await verify(() => {})).evidence).toEqual(evidenceAt(SEARCH, expected));
  });
});

describe("openHandsCloudBackend.verify and the API's own name", () => {
  it("tells of a name that there is not by a word of its own", async () => {
    const lookup = failing(withCode("ENOTFOUND"));
    await using world = await cloudWorld({ host: "api.example", client: { lookup } });
    const expected: Expected = {
      kind: "unreachable",
      failure: "transport",
      what: "transport error: ENOTFOUND",
    };
    expect(await world.backend.verify(runOf(), calm())).toEqual(evidenceAt(MINT, expected));
  });
});

function withCode(code: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code} tenant-7.example`), { code });
}
