import { describe, expect, it } from "vitest";
import { parseAgentUrl } from "../../../src/io/backends/agent-url.ts";

const forbidden: readonly string[] = [
  "http://127.0.0.1/",
  "http://127.255.255.254/",
  "http://127.1/",
  "http://0x7f.0.0.1/",
  "http://0177.0.0.1/",
  "http://2130706433/",
  "http://%31%32%37.0.0.1/",
  "http://①②⑦.0.0.1/",
  "http://127.0.0.1./",
  "http://0.0.0.0/",
  "http://0.1.2.3/",
  "http://169.254.169.254/latest/meta-data/",
  "http://169.254.0.1/",
  "http://100.100.100.200/",
  "http://192.0.0.192/",
  "http://168.63.129.16/",
  "http://[::1]/",
  "http://[::]/",
  "http://[0:0:0:0:0:0:0:1]/",
  "http://[fe80::1]/",
  "http://[febf::1]/",
  "http://[fd00:ec2::254]/",
  "http://[fd20:ce::254]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:a9fe:a9fe]/",
  "http://[::127.0.0.1]/",
  "http://[64:ff9b::7f00:1]/",
  "http://[64:ff9b::169.254.169.254]/",
  "http://localhost:3000/",
  "http://LOCALHOST./",
  "http://app.localhost/",
];

const allowed: readonly string[] = [
  "https://abc.runtime.example/",
  "http://10.0.0.5:60000/agent",
  "http://192.168.1.1/",
  "http://126.255.255.255/",
  "http://128.0.0.1/",
  "http://169.253.255.255/",
  "http://169.255.0.1/",
  "http://100.100.100.201/",
  "http://[fd00:ec2::253]/",
  "http://[fec0::1]/",
  "http://[::ffff:10.0.0.5]/",
  "http://[64:ff9b::808:808]/",
  "http://localhost.example/",
];

const unusable: readonly string[] = [
  "",
  "abc.runtime.example",
  "//abc.runtime.example/",
  "ftp://abc.runtime.example/",
  "file:///etc/passwd",
  "http://user@abc.runtime.example/",
  "http://user:secret@abc.runtime.example/",
  "http://[fe80::1%25eth0]/",
];

describe("parseAgentUrl", () => {
  for (const text of forbidden) {
    it(`refuses ${text}`, () => {
      expect(parseAgentUrl(text, { hosts: [], guarded: true })).toBeNull();
    });

    it(`allows ${text} when the API is on this host`, () => {
      expect(parseAgentUrl(text, { hosts: [], guarded: false })).not.toBeNull();
    });
  }

  for (const text of allowed) {
    it(`allows ${text}`, () => {
      expect(parseAgentUrl(text, { hosts: [], guarded: true })).not.toBeNull();
    });
  }

  for (const text of unusable) {
    it(`refuses "${text}" even when the API is on this host`, () => {
      expect(parseAgentUrl(text, { hosts: [], guarded: false })).toBeNull();
    });
  }
});

interface SuffixCase {
  readonly suffix: string;
  readonly url: string;
  readonly passes: boolean;
}

const suffixCases: readonly SuffixCase[] = [
  { suffix: "runtime.example", url: "https://runtime.example/", passes: true },
  { suffix: "runtime.example", url: "https://a.b.runtime.example:8443/x", passes: true },
  { suffix: "runtime.example", url: "https://RUNTIME.EXAMPLE./", passes: true },
  { suffix: ".Runtime.Example.", url: "https://a.runtime.example/", passes: true },
  { suffix: "*.runtime.example", url: "https://a.runtime.example/", passes: true },
  { suffix: "münchen.example", url: "https://a.xn--mnchen-3ya.example/", passes: true },
  { suffix: "10.0.0.5", url: "http://10.0.0.5/", passes: true },
  { suffix: "runtime.example", url: "https://badruntime.example/", passes: false },
  { suffix: "runtime.example", url: "https://runtime.example.evil.example/", passes: false },
  { suffix: "runtime.example", url: "https://evil.example/runtime.example", passes: false },
  { suffix: "runtime.example", url: "https://runtime.example@evil.example/", passes: false },
  { suffix: "0.5", url: "http://10.0.0.5/", passes: false },
  { suffix: "", url: "https://runtime.example/", passes: false },
];

describe("parseAgentUrl with allowed hosts", () => {
  for (const { suffix, url, passes } of suffixCases) {
    it(`${passes ? "allows" : "refuses"} ${url} for the suffix "${suffix}"`, () => {
      expect(parseAgentUrl(url, { hosts: [suffix], guarded: true }) !== null).toBe(passes);
    });
  }

  it("allows a host that any one of the suffixes allows", () => {
    const rules = { hosts: ["one.example", "two.example"], guarded: true };
    expect(parseAgentUrl("https://a.two.example/", rules)).not.toBeNull();
  });
});
