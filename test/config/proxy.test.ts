import { describe, expect, it } from "vitest";
import { configWith, problemsWith } from "../support/process/config-env.ts";

const PROXY = "http://user:hunter2@proxy.example:3128";
const OTHER = "https://other.example";

function proxyWith(env: Readonly<Record<string, string>>) {
  return configWith(env).config.proxy.current;
}

describe("the proxy variables", () => {
  it("mean direct connections when none is set, or all are empty", () => {
    expect(proxyWith({})).toBeNull();
    expect(proxyWith({ HTTP_PROXY: "", https_proxy: " ", NO_PROXY: "*" })).toBeNull();
  });

  it("are read in capitals and in lower case, which wins", () => {
    expect(proxyWith({ HTTP_PROXY: PROXY, HTTPS_PROXY: OTHER, NO_PROXY: ".svc" })).toEqual({
      httpProxy: PROXY,
      httpsProxy: OTHER,
      noProxy: ".svc",
    });
    const both = { HTTP_PROXY: PROXY, http_proxy: OTHER, NO_PROXY: "a", no_proxy: "b" };
    expect(proxyWith(both)).toEqual({ httpProxy: OTHER, httpsProxy: null, noProxy: "b" });
    expect(proxyWith({ http_proxy: "", HTTP_PROXY: PROXY })).toMatchObject({ httpProxy: PROXY });
  });

  const bad: readonly (readonly [string, string])[] = [
    ["proxy.example:3128", "a value without http:// or https:// before it"],
    ["user:hunter2@proxy.example:3128", "a value without http:// or https:// before it"],
    ["//user:hunter2@proxy.example", "a value without http:// or https:// before it"],
    ["ftp://user:hunter2@proxy.example", "a value without http:// or https:// before it"],
    ["socks5://user:hunter2@proxy.example:1080", "a SOCKS proxy"],
    ["SOCKS4A://hunter2@proxy.example:1080", "a SOCKS proxy"],
    ["http://", "a value that is no URL"],
    ["http://user:hunter2@no host:3128", "a value that is no URL"],
    ["http://user:hunter2@proxy.example:99999", "a value that is no URL"],
    [
      "http://user:hunter2%@proxy.example",
      "a user or password with a % that must be written as %25",
    ],
    ["http://hunter2%zz@proxy.example", "a user or password with a % that must be written as %25"],
  ];
  for (const name of ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"]) {
    for (const [value, found] of bad) {
      it(`name what is wrong with ${name}=${value}, and nothing of its value`, () => {
        const problem = `${name} must be a URL such as http://proxy.example.com:3128, got ${found}`;
        expect(problemsWith({ [name]: value })).toEqual([problem]);
      });
    }
  }

  it("are named together with each other and with whatever else is wrong", () => {
    const env = { http_proxy: "a:1", HTTPS_PROXY: "b:2", WATCHDOG_CONCURRENCY: "0" };
    const names = problemsWith(env).map((problem) => problem.split(" ", 1)[0]);
    expect(names.sort()).toEqual(["HTTPS_PROXY", "WATCHDOG_CONCURRENCY", "http_proxy"]);
  });

  it("never leave by way of a printed configuration", () => {
    const { config } = configWith({ HTTP_PROXY: PROXY });
    expect(JSON.stringify(config)).not.toContain("hunter2");
  });
});

describe("warnings about proxies", () => {
  const why =
    "has entries that are ignored, because they are no host, address, range of addresses (10.0.0.0/8), or *";

  it("name once what is not understood in NO_PROXY, whichever name it has", () => {
    const noProxy = "10.0.0.0/8,http://internal,192.168.*,.svc localhost";
    for (const name of ["NO_PROXY", "no_proxy"]) {
      expect(configWith({ HTTP_PROXY: PROXY, [name]: noProxy }).warnings).toEqual([
        `${name} ${why}: "http://internal", "192.168.*"`,
      ]);
    }
  });

  it("show no credentials that stand in NO_PROXY", () => {
    const [warning] = configWith({ HTTP_PROXY: PROXY, NO_PROXY: PROXY }).warnings;
    expect(warning).toBe(`NO_PROXY ${why}: one with "@"`);
  });

  it("are not needed without a proxy, or when all is understood", () => {
    expect(configWith({ NO_PROXY: "http://internal" }).warnings).toEqual([]);
    expect(configWith({ HTTP_PROXY: PROXY, NO_PROXY: "*.svc,[::1]:80" }).warnings).toEqual([]);
  });

  it("say that ALL_PROXY alone does nothing", () => {
    for (const name of ["ALL_PROXY", "all_proxy"]) {
      expect(configWith({ [name]: PROXY }).warnings).toEqual([
        `${name} is not read, set HTTP_PROXY and HTTPS_PROXY`,
      ]);
    }
    expect(configWith({ ALL_PROXY: PROXY, HTTPS_PROXY: PROXY }).warnings).toEqual([]);
  });
});
