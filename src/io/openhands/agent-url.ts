import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { bareHost } from "../http/address-guard.ts";

/**
 * The agent server's URL, or `null` when the session key must not be sent there.
 *
 * `hosts` are suffixes on label boundaries; an empty list allows every host. Addresses are checked by the call itself.
 */
export function parseAgentUrl(text: string, hosts: readonly string[]): URL | null {
  const url = URL.parse(text);
  if (url === null) return null;
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  if (url.username !== "" || url.password !== "") return null;
  const host = bareHost(url);
  return hosts.length === 0 || hosts.some((suffix) => isBelow(host, suffix)) ? url : null;
}

/** `runtime.example` allows itself and `a.runtime.example`, not `badruntime.example`. Addresses match as a whole. */
function isBelow(host: string, suffix: string): boolean {
  const name = suffix
    .trim()
    .replace(/^\*?\./, "")
    .replace(/\.$/, "");
  if (name === "") return false;
  if (isIP(name) !== 0 || isIP(host) !== 0) return host === name;
  const ascii = domainToASCII(name);
  return host === ascii || host.endsWith(`.${ascii}`);
}
