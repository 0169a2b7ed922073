import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isForbiddenHost, isLoopbackHost } from "../../../src/rules/network/addresses.ts";

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
  "http://224.0.0.1/",
  "http://239.255.255.250/",
  "http://255.255.255.255/",
  "http://[ff02::1]/",
  "http://[FF0E::FB]/",
  "http://[fd00:ec2::254]/",
  "http://[fd00:ec2::23]/",
  "http://[fd20:ce::254]/",
  "http://[fd00:42::42]/",
  "http://[fd00:c1::a9fe:a9fe]/",
  "http://[::ffff:127.0.0.1]/",
  "http://[::ffff:a9fe:a9fe]/",
  "http://[::127.0.0.1]/",
  "http://[64:ff9b::7f00:1]/",
  "http://[64:ff9b::169.254.169.254]/",
  "http://[64:ff9b:1::a9fe:a9fe]/",
  "http://[64:ff9b:1:a9fe:a9:fe00::]/",
  "http://[2002:7f00:1::]/",
  "http://[2001:0:7f00:1::]/",
  "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
  "http://[2001:db8::5efe:127.0.0.1]/",
  "http://[2001:db8::200:5efe:7f00:1]/",
  "http://[::ffff:0:127.0.0.1]/",
  "http://metadata.google.internal/computeMetadata/v1/",
  "http://METADATA.google.internal./",
  "http://metadata/",
  "http://instance-data/latest/",
  "http://instance-data.ec2.internal/",
  "http://metadata.tencentyun.com/",
  "http://%6detadata.google.internal/",
  "http://localhost:3000/",
  "http://LOCALHOST./",
  "http://localhost../",
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
  "http://223.255.255.255/",
  "http://240.0.0.1/",
  "http://255.255.255.254/",
  "http://172.16.0.1/",
  "http://[fd00:ec1::254]/",
  "http://[fd00:ec3::254]/",
  "http://[fd20:ce:0:1::254]/",
  "http://[fe00::1]/",
  "http://[fec0::1]/",
  "http://[::ffff:10.0.0.5]/",
  "http://[64:ff9b::808:808]/",
  "http://[64:ff9b:1:a00:0:500::]/",
  "http://localhost.example/",
  "http://metadata-service.example/",
  "http://runtime.metadata.example/",
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

type Bytes = readonly [number, number, number, number];

const ALLOWED: Bytes = [192, 0, 2, 1];

/** How an IPv4 address can be part of an IPv6 one. */
const forms: readonly (readonly [string, (address: Bytes) => string])[] = [
  ["IPv4-mapped", (address) => `::ffff:${groups(address)}`],
  ["IPv4-compatible", (address) => `::${groups(address)}`],
  ["IPv4-translated", (address) => `::ffff:0:${groups(address)}`],
  ["NAT64", (address) => `64:ff9b::${groups(address)}`],
  ["local NAT64 of 96 bits", (address) => `64:ff9b:1:2:3:4:${groups(address)}`],
  ["local NAT64 of 48 bits", ([a, b, c, d]) => `64:ff9b:1:${groups([a, b, 0, c])}:${hex(d, 0)}::`],
  ["6to4", (address) => `2002:${groups(address)}::1`],
  ["Teredo's server", (address) => `2001:0:${groups(address)}::${groups(flipped(ALLOWED))}`],
  ["Teredo's client", (address) => `2001:0:${groups(ALLOWED)}::${groups(flipped(address))}`],
  ["ISATAP", (address) => `2001:db8::5efe:${groups(address)}`],
  ["ISATAP of a global address", (address) => `2001:db8::200:5efe:${groups(address)}`],
];

function groups([a, b, c, d]: Bytes): string {
  return `${hex(a, b)}:${hex(c, d)}`;
}

function hex(high: number, low: number): string {
  return (256 * high + low).toString(16);
}

function flipped([a, b, c, d]: Bytes): Bytes {
  return [a ^ 0xff, b ^ 0xff, c ^ 0xff, d ^ 0xff];
}

/** Written without the library: this host, this network, this link, groups, everybody, and metadata. */
function isForbiddenV4([a, b, c, d]: Bytes): boolean {
  if (a === 0 || a === 127 || (a >= 224 && a < 240)) return true;
  if (a === 169 && b === 254) return true;
  return ["255.255.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192"].includes(
    [a, b, c, d].join("."),
  );
}

const byte = fc.integer({ min: 0, max: 255 });
const first = fc.oneof(byte, fc.constantFrom(0, 10, 100, 127, 168, 169, 172, 192, 223, 224, 255));
const second = fc.oneof(byte, fc.constantFrom(0, 63, 100, 254, 255));
const addresses = fc.oneof(
  fc.tuple(first, second, byte, byte),
  fc.constantFrom<Bytes>(
    [255, 255, 255, 255],
    [100, 100, 100, 200],
    [168, 63, 129, 16],
    [192, 0, 0, 192],
  ),
);

describe("isForbiddenHost for any IPv4 address", () => {
  it("decides by its class, in decimal, hexadecimal, octal and as one number", () => {
    fc.assert(
      fc.property(addresses, (address) => {
        const [a, b, c, d] = address;
        const number = ((256 * a + b) * 256 + c) * 256 + d;
        const notations = [
          address.join("."),
          `${address.join(".")}.`,
          address.map((each) => `0x${each.toString(16)}`).join("."),
          address.map((each) => `0${each.toString(8)}`).join("."),
          `${a}.${number - a * 2 ** 24}`,
          String(number),
        ];
        for (const host of notations) {
          expect(isForbiddenHost(new URL(`http://${host}/`)), host).toBe(isForbiddenV4(address));
        }
      }),
    );
  });

  for (const [form, write] of forms) {
    it(`decides the same for it as ${form}`, () => {
      fc.assert(
        fc.property(addresses, (address) => {
          const url = new URL(`http://[${write(address)}]/`);
          expect(isForbiddenHost(url), url.host).toBe(isForbiddenV4(address));
        }),
      );
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
