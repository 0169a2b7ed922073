import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { bareHost, isForbiddenHost } from "./address-guard.ts";

export interface AgentUrlRules {
  /** Suffixes on label boundaries; an empty list allows every host. */
  readonly hosts: readonly string[];
  /** Checks the address itself, too; off when the API is on this host, as in development. */
  readonly guarded: boolean;
}

/** The agent server's URL, or `null` when the session key must not be sent there. */
export function parseAgentUrl(text: string, rules: AgentUrlRules): URL | null {
  const url = URL.parse(text);
  if (url === null) return null;
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  if (url.username !== "" || url.password !== "") return null;
  if (rules.guarded && isForbiddenHost(url)) return null;
  const host = bareHost(url);
  const allowed = rules.hosts.length === 0 || rules.hosts.some((suffix) => isBelow(host, suffix));
  return allowed ? url : null;
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
