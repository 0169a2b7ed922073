/**
 * Keeps the worker from being sent to its own network. Where an agent server lives is said by an API about a machine
 * that tenants control, so its address must not be this host, this link or a cloud's metadata service. The check runs
 * on what the name resolves to, in the connection's own look-up: the address that was checked is the one connected to.
 *
 * Not promised: behind a proxy the proxy resolves names, and only names and address literals are checked here.
 */
import { BlockList, isIP, type LookupFunction } from "node:net";

const LOOPBACK_V4: Subnet = ["127.0.0.0", 8];

const FORBIDDEN_V4: readonly Subnet[] = [
  LOOPBACK_V4,
  ["0.0.0.0", 8], // unspecified: Linux connects to itself
  ["169.254.0.0", 16], // link-local, with most clouds' metadata
  ["100.100.100.200", 32], // Alibaba Cloud's metadata
  ["192.0.0.192", 32], // Oracle Cloud's metadata
  ["168.63.129.16", 32], // Azure's host agent
];

const FORBIDDEN_V6: readonly Subnet[] = [
  ["::1", 128],
  ["::", 128],
  ["fe80::", 10],
  ["fd00:ec2::254", 128], // AWS metadata
  ["fd20:ce::254", 128], // Google Cloud's metadata
];

/** IPv6 notations for IPv4 addresses. `::ffff:a.b.c.d` needs no entry: BlockList applies the IPv4 rules to it. */
const EMBEDDED_V4_PREFIXES = ["::", "64:ff9b::"];

type Subnet = readonly [network: string, bits: number];

/** The connection was refused by the guard, before anything was sent. */
export class ForbiddenAddressError extends Error {
  override readonly name = "ForbiddenAddressError";
}

/** Like `lookup`, but fails when any address of the name is forbidden. */
export function guardLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const [first] = addresses;
      if (first === undefined || addresses.some(({ address }) => isForbiddenAddress(address))) {
        return callback(new ForbiddenAddressError("the address is not allowed"), []);
      }
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

/** For hosts as a parsed URL has them: its parser turned odd notations of IPv4 (`0x7f.1`, `2130706433`) into plain ones. */
export function isForbiddenHost(url: URL): boolean {
  const host = bareHost(url);
  return isIP(host) === 0 ? isLocalhostName(host) : isForbiddenAddress(host);
}

export function isLoopbackHost(url: URL): boolean {
  const host = bareHost(url);
  return isIP(host) === 0 ? isLocalhostName(host) : contains(LOOPBACK, host);
}

/** Without the brackets of an IPv6 address and the dot of a fully qualified name. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.+)\]$/, "$1").replace(/\.$/, "");
}

function isForbiddenAddress(address: string): boolean {
  return contains(FORBIDDEN, address);
}

function isLocalhostName(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}

const LOOPBACK = blockList([LOOPBACK_V4], [["::1", 128]]);
const FORBIDDEN = blockList(FORBIDDEN_V4, [...FORBIDDEN_V6, ...embedded(FORBIDDEN_V4)]);

function contains(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function blockList(v4: readonly Subnet[], v6: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [network, bits] of v4) list.addSubnet(network, bits, "ipv4");
  for (const [network, bits] of v6) list.addSubnet(network, bits, "ipv6");
  return list;
}

function embedded(subnets: readonly Subnet[]): readonly Subnet[] {
  return EMBEDDED_V4_PREFIXES.flatMap((prefix) =>
    subnets.map(([network, bits]): Subnet => [`${prefix}${network}`, 96 + bits]),
  );
}
