import { describe, expect, it } from "vitest";
import { isException, parseNoProxy } from "../../../src/rules/network/no-proxy.ts";

interface Case {
  readonly entry: string;
  readonly direct: readonly string[];
  readonly proxied: readonly string[];
}

const cases: readonly Case[] = [
  { entry: "*", direct: ["http://any.example/", "https://[2001:db8::1]/"], proxied: [] },
  {
    entry: "example.com",
    direct: ["http://example.com/", "http://a.b.example.com:81/", "https://EXAMPLE.com./"],
    proxied: ["http://badexample.com/", "http://example.com.evil.example/", "http://com/"],
  },
  {
    entry: ".Example.com.",
    direct: ["http://example.com/", "http://a.example.com/"],
    proxied: ["http://badexample.com/"],
  },
  {
    entry: "*.example.com",
    direct: ["http://a.example.com/", "http://a.b.example.com/"],
    proxied: ["http://example.com/", "http://badexample.com/"],
  },
  {
    entry: "münchen.example",
    direct: ["http://xn--mnchen-3ya.example/", "http://a.münchen.example/"],
    proxied: ["http://munchen.example/"],
  },
  {
    entry: "example.com:8080",
    direct: ["http://example.com:8080/"],
    proxied: ["http://example.com/", "https://example.com:8443/"],
  },
  {
    entry: "example.com:443",
    direct: ["https://example.com/", "http://example.com:443/"],
    proxied: ["http://example.com/"],
  },
  { entry: "*:80", direct: ["http://any.example/"], proxied: ["https://any.example/"] },
  {
    entry: "10.1.2.3",
    direct: ["http://10.1.2.3/", "http://[::ffff:10.1.2.3]/", "http://0xa.1.2.3/"],
    proxied: ["http://10.1.2.4/", "http://1.2.3/", "http://a10.1.2.3.example/"],
  },
  {
    entry: "10.1.2.3:81",
    direct: ["http://10.1.2.3:81/"],
    proxied: ["http://10.1.2.3/"],
  },
  {
    entry: "10.0.0.0/8",
    direct: ["http://10.0.0.0/", "http://10.255.255.255:81/", "https://[::ffff:10.1.2.3]/"],
    proxied: [
      "http://9.255.255.255/",
      "http://11.0.0.0/",
      "http://10.example/",
      "http://[fd00::1]/",
    ],
  },
  {
    entry: "10.0.0.0/31",
    direct: ["http://10.0.0.0/", "http://10.0.0.1/"],
    proxied: ["http://10.0.0.2/"],
  },
  {
    entry: "fd00::/8",
    direct: ["http://[fd12::1]/"],
    proxied: ["http://[fc00::1]/", "http://10.0.0.1/"],
  },
  { entry: "[fd00::]/8", direct: ["http://[fd12::1]/"], proxied: ["http://[fc00::1]/"] },
  {
    entry: "::1",
    direct: ["http://[::1]/", "http://[0:0:0:0:0:0:0:1]:81/"],
    proxied: ["http://[::2]/"],
  },
  { entry: "[::1]:81", direct: ["http://[::1]:81/"], proxied: ["http://[::1]/"] },
  { entry: "local_host-1", direct: ["http://local_host-1/"], proxied: ["http://local/"] },
];

const unknown: readonly string[] = [
  "http://internal.example",
  "https://internal.example:8443",
  "internal.example/path",
  "192.168.*",
  "10.*.0.1",
  "a.*.example",
  "example.*",
  "*example.com",
  "**",
  "10.0.0.0/33",
  "fd00::/129",
  "10.0.0.0/",
  "example.com:",
  "example.com:http",
  "example.com:0",
  "example.com:65536",
  "[::1",
  "[::g]",
  "<local>",
  "user@example.com",
  ".",
  "*.",
];

describe("the entries of NO_PROXY", () => {
  for (const { entry, direct, proxied } of cases) {
    const { exceptions, unknown: ignored } = parseNoProxy(entry);

    it(`are understood as "${entry}"`, () => {
      expect(ignored).toEqual([]);
    });

    for (const url of direct) {
      it(`let ${url} go directly as "${entry}"`, () => {
        expect(isException(new URL(url), exceptions)).toBe(true);
      });
    }

    for (const url of proxied) {
      it(`leave ${url} to the proxy as "${entry}"`, () => {
        expect(isException(new URL(url), exceptions)).toBe(false);
      });
    }
  }

  for (const entry of unknown) {
    it(`are nothing as "${entry}"`, () => {
      const parsed = parseNoProxy(entry);
      expect(parsed).toEqual({ exceptions: [], unknown: [entry] });
    });
  }

  it("are separated by commas and blanks, and known ones count among unknown ones", () => {
    const { exceptions, unknown: ignored } = parseNoProxy(" ,a.example,,b.*\tc.example , ");
    expect(ignored).toEqual(["b.*"]);
    for (const url of ["http://a.example/", "http://c.example/"]) {
      expect(isException(new URL(url), exceptions)).toBe(true);
    }
  });

  it("are none in an empty text", () => {
    expect(parseNoProxy("")).toEqual({ exceptions: [], unknown: [] });
  });
});
