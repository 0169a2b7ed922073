import { describe, expect, it } from "vitest";
import { isForbiddenHost, isLoopbackHost } from "../../../src/io/backends/address-guard.ts";

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

describe("isForbiddenHost", () => {
  for (const text of forbidden) {
    it(`forbids ${text}`, () => {
      expect(isForbiddenHost(new URL(text))).toBe(true);
    });
  }

  for (const text of allowed) {
    it(`allows ${text}`, () => {
      expect(isForbiddenHost(new URL(text))).toBe(false);
    });
  }
});

describe("isLoopbackHost", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost"]) {
    it(`takes ${host} for this host`, () => {
      expect(isLoopbackHost(new URL(`http://${host}:3000/`))).toBe(true);
    });
  }

  for (const host of ["0.0.0.0", "169.254.169.254", "10.0.0.1", "[fe80::1]", "app.example"]) {
    it(`does not take ${host} for this host`, () => {
      expect(isLoopbackHost(new URL(`http://${host}:3000/`))).toBe(false);
    });
  }
});
