/**
 * Keeps the worker from being sent to its own network. Where an agent server lives is said by an API about a machine
 * that tenants control, so its address must not be this host, this link or a cloud's metadata service. The check runs
 * on what the name resolves to, in the connection's own look-up: the address that was checked is the one connected to.
 *
 * Not promised: behind a proxy the proxy resolves names, and only names and address literals are checked here.
 */
import { BlockList, isIP, type LookupFunction } from "node:net";

type Subnet = readonly [network: string, bits: number];

const LOOPBACK = blockList([["127.0.0.0", 8]], [["::1", 128]]);

const FORBIDDEN_V4: readonly Subnet[] = [
  ["127.0.0.0", 8], // loopback
  ["0.0.0.0", 8], // unspecified: Linux connects to itself
  ["169.254.0.0", 16], // link-local, with most clouds' metadata
  ["100.100.100.200", 32], // Alibaba Cloud's metadata
  ["192.0.0.192", 32], // Oracle Cloud's metadata
  ["168.63.129.16", 32], // Azure's host agent
];

const FORBIDDEN = blockList(FORBIDDEN_V4, [
  ["fe80::", 10], // link-local
  ["fd00:ec2::254", 128], // AWS's metadata
  ["fd20:ce::254", 128], // Google Cloud's metadata
  // The IPv4 list again in other notations; this covers `::` and `::1`, too. BlockList knows `::ffff:` by itself.
  ...embedded("::", FORBIDDEN_V4),
  ...embedded("64:ff9b::", FORBIDDEN_V4),
]);

/** The connection was refused by the guard, before anything was sent. */
export class ForbiddenAddressError extends Error {
  override readonly name = "ForbiddenAddressError";
}

/** Like `lookup`, but fails when any address of the name is forbidden. */
export function guardLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const [first] = addresses;
      if (first === undefined || addresses.some(({ address }) => contains(FORBIDDEN, address))) {
        return callback(new ForbiddenAddressError("the address is not allowed"), []);
      }
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

/** For what needs no look-up. The URL parser has turned odd notations of IPv4 (`0x7f.1`, `2130706433`) into plain ones. */
export function isForbiddenHost(url: URL): boolean {
  return isLocalhostName(url) || contains(FORBIDDEN, bareHost(url));
}

export function isLoopbackHost(url: URL): boolean {
  return isLocalhostName(url) || contains(LOOPBACK, bareHost(url));
}

/** Without the brackets of an IPv6 address and the dot of a fully qualified name. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.+)\]$/, "$1").replace(/\.$/, "");
}

function isLocalhostName(url: URL): boolean {
  return /(^|\.)localhost$/.test(bareHost(url));
}

/** False for names. */
function contains(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}

function blockList(v4: readonly Subnet[], v6: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [network, bits] of v4) list.addSubnet(network, bits, "ipv4");
  for (const [network, bits] of v6) list.addSubnet(network, bits, "ipv6");
  return list;
}

function embedded(prefix: string, subnets: readonly Subnet[]): readonly Subnet[] {
  return subnets.map(([network, bits]) => [`${prefix}${network}`, 96 + bits]);
}
