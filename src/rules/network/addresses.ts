/**
 * Where the worker must not be sent. Where an agent server lives is said by an API about a machine that tenants control,
 * so its address must not be this host, this link, a group of hosts or a cloud's metadata service. Private addresses are
 * where sandboxes live.
 */
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** As the library calls them. Linux connects to itself for an unspecified address. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  "unspecified",
  "loopback",
  "linkLocal",
  "multicast",
  "broadcast",
]);

/** Clouds have most of their metadata on the link; these have some elsewhere. */
const METADATA = [
  "100.100.100.200/32", // Alibaba Cloud
  "168.63.129.16/32", // Azure's host agent
  "192.0.0.192/32", // Oracle Cloud
  "fd00:c1::a9fe:a9fe/128", // Oracle Cloud
  "fd00:ec2::/32", // AWS, all of its local services
  "fd00:42::42/128", // Scaleway
  "fd20:ce::/64", // Google Cloud
].map((range) => ipaddr.parseCIDR(range));

const METADATA_NAME = /^(metadata|instance-data)(\.|$)/;
const LOCALHOST_NAME = /(^|\.)localhost$/;

/** For what needs no look-up. The URL parser has turned odd notations of IPv4 (`0x7f.1`, `2130706433`) into plain ones. */
export function isForbiddenHost(url: URL): boolean {
  const host = bareHost(url);
  if (isIP(host) !== 0) return isForbiddenAddress(host);
  return LOCALHOST_NAME.test(host) || METADATA_NAME.test(host);
}

export function isLoopbackHost(url: URL): boolean {
  const host = bareHost(url);
  if (isIP(host) !== 0) return ipaddr.process(host).range() === "loopback";
  return LOCALHOST_NAME.test(host);
}

/** Without the brackets of an IPv6 address and the dot of a fully qualified name. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.+)\]$/, "$1").replace(/\.+$/, "");
}

/** Also what is no address at all. */
export function isForbiddenAddress(text: string): boolean {
  if (!ipaddr.isValid(text)) return true;
  const address = ipaddr.parse(text);
  return [address, ...embedded(address)].some(
    (each) => FORBIDDEN.has(each.range()) || METADATA.some((range) => isIn(each, range)),
  );
}

/** False between addresses of different families. */
export function isIn(address: Address, range: readonly [Address, number]): boolean {
  return address.kind() === range[0].kind() && address.match(range[0], range[1]);
}

/** Where the bytes of an IPv4 address are. */
type Place = readonly [number, number, number, number];

const LAST: Place = [12, 13, 14, 15];

/** Tunnels and translators carry IPv4 addresses inside of IPv6 ones. */
const CARRIERS = (
  [
    ["::/96", LAST], // IPv4-compatible
    ["::ffff:0:0/96", LAST], // IPv4-mapped
    ["::ffff:0:0:0/96", LAST], // IPv4-translated
    ["64:ff9b::/96", LAST], // NAT64
    ["2002::/16", [2, 3, 4, 5]], // 6to4
    ["2001::/32", [4, 5, 6, 7]], // Teredo's server
  ] as const
).map(([range, place]) => ({ range: ipaddr.parseCIDR(range), place }));

const LOCAL_NAT64 = ipaddr.parseCIDR("64:ff9b:1::/48");
const TEREDO = ipaddr.parseCIDR("2001::/32");

function embedded(address: Address): readonly ipaddr.IPv4[] {
  if (address.kind() === "ipv4") return [];
  const bytes = address.toByteArray();
  const at = (place: Place) => new ipaddr.IPv4(place.map((index) => bytes[index] ?? 0));
  const found = CARRIERS.filter(({ range }) => isIn(address, range)).map(({ place }) => at(place));
  if (isIn(address, LOCAL_NAT64)) {
    // Networks use its first 96 bits, or all that follows the first 48, which leaves zeros at the end.
    found.push(at(bytes.slice(12).some((byte) => byte !== 0) ? LAST : [6, 7, 9, 10]));
  }
  if (isIn(address, TEREDO)) {
    found.push(new ipaddr.IPv4(at(LAST).octets.map((byte) => byte ^ 0xff)));
  }
  if (/^0[02]005efe/.test(Buffer.from(bytes.slice(8)).toString("hex"))) found.push(at(LAST)); // ISATAP
  return found;
}
