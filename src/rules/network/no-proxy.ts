/** Which hosts are reached without the proxy: the entries of NO_PROXY. */
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import ipaddr from "ipaddr.js";
import { bareHost, isIn } from "./addresses.ts";

/** The proxy variables' values; `null` for one that is not set. The URLs may hold a user and a password. */
export interface ProxySettings {
  readonly httpProxy: string | null;
  /** `null`: the other one is for https as well. */
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
}

export interface ProxyException {
  /** Every port when `null`. */
  readonly port: number | null;
  readonly covers: (host: string) => boolean;
}

/**
 * Entries are separated by commas or blanks, and may end with a port. `*` is every host, `example.com` and
 * `.example.com` are a name and all below it, `*.example.com` is only what is below it; addresses and ranges of them
 * (`10.0.0.0/8`) are compared with addresses, not with what names resolve to.
 */
export function parseNoProxy(text: string): {
  readonly exceptions: readonly ProxyException[];
  /** Entries that are nothing of that, as they were written. */
  readonly unknown: readonly string[];
} {
  const entries = text.split(/[,\s]+/).filter((entry) => entry !== "");
  const parsed = entries.map((entry) => ({ entry, exception: parseEntry(entry) }));
  return {
    exceptions: parsed.flatMap(({ exception }) => exception ?? []),
    unknown: parsed.flatMap(({ entry, exception }) => (exception === null ? [entry] : [])),
  };
}

export function isException(url: URL, exceptions: readonly ProxyException[]): boolean {
  const host = bareHost(url);
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  return exceptions.some((each) => (each.port ?? port) === port && each.covers(host));
}

function parseEntry(entry: string): ProxyException | null {
  const [, host, digits] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [null, entry, null];
  const port = digits == null ? null : Number(digits);
  const covers = coverage((host ?? "").toLowerCase());
  if (covers === null || port === 0 || (port ?? 0) > 65_535) return null;
  return { port, covers };
}

function coverage(host: string): ProxyException["covers"] | null {
  if (host === "*") return () => true;
  const text = host.replace(/^\[(.*)\]/, "$1");
  const range = isIP(text) === 0 ? text : `${text}/${isIP(text) === 4 ? 32 : 128}`;
  if (ipaddr.isValidCIDR(range)) {
    const parsed = ipaddr.parseCIDR(range);
    return (other) => isIP(other) !== 0 && isIn(ipaddr.process(other), parsed);
  }
  const [, prefix, name = ""] = /^(\*?\.)?([\p{L}\p{N}_.-]+)$/u.exec(text) ?? [];
  const ascii = domainToASCII(name.replace(/\.$/, ""));
  if (ascii === "") return null;
  return (other) => (other === ascii && prefix !== "*.") || other.endsWith(`.${ascii}`);
}
