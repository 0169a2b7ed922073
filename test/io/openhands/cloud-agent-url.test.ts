import { describe, expect, it } from "vitest";
import { parseAgentUrl } from "../../../src/io/openhands/cloud.ts";

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
  for (const text of unusable) {
    it(`refuses "${text}"`, () => {
      expect(parseAgentUrl(text, [])).toBeNull();
    });
  }

  it("keeps port and path", () => {
    const url = parseAgentUrl("http://10.0.0.5:60000/agent", []);
    expect(url?.href).toBe("http://10.0.0.5:60000/agent");
  });
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
      expect(parseAgentUrl(url, [suffix]) !== null).toBe(passes);
    });
  }

  it("allows a host that any one of the suffixes allows", () => {
    const hosts = ["one.example", "two.example"];
    expect(parseAgentUrl("https://a.two.example/", hosts)).not.toBeNull();
  });
});
