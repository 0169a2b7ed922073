import { type ProxySettings, parseNoProxy } from "../../rules/network/no-proxy.ts";
import { type EnvReader, quoted } from "../env/env-reader.ts";
import type { NameOf } from "../env/settings.ts";

/** As most programs read them: lower case wins. `null` when every connection is to be direct. */
export function readProxy(reader: EnvReader): ProxySettings | null {
  const httpProxy = readProxyUrl(reader, ["http_proxy", "HTTP_PROXY"]);
  const httpsProxy = readProxyUrl(reader, ["https_proxy", "HTTPS_PROXY"]);
  if (httpProxy === null && httpsProxy === null) {
    const ignored = firstSet(reader, ["all_proxy", "ALL_PROXY"]);
    if (ignored !== null) reader.warn(`${ignored} is not read, set HTTP_PROXY and HTTPS_PROXY`);
    return null;
  }
  const name = firstSet(reader, ["no_proxy", "NO_PROXY"]);
  const noProxy = name === null ? null : reader.text(name);
  const { unknown } = parseNoProxy(noProxy ?? "");
  if (unknown.length > 0) {
    reader.warn(
      `${name} has entries that are ignored, because they are no host, address, range of addresses (10.0.0.0/8), or *: ${unknown.map(shown).join(", ")}`,
    );
  }
  return { httpProxy, httpsProxy, noProxy };
}

function readProxyUrl(reader: EnvReader, names: readonly NameOf<"text">[]): string | null {
  for (const name of names) {
    const text = reader.text(name);
    const problem = text === null ? null : proxyProblem(text);
    if (problem !== null) {
      reader.problem(name, `must be a URL such as http://proxy.example.com:3128, got ${problem}`);
    }
  }
  const name = firstSet(reader, names);
  return name === null ? null : reader.text(name);
}

/** The value may hold a password, in whatever place, so nothing of it is shown. */
function proxyProblem(text: string): string | null {
  if (/^socks/i.test(text)) return "a SOCKS proxy";
  if (!/^https?:\/\//i.test(text)) return "a value without http:// or https:// before it";
  const url = URL.parse(text);
  if (url === null) return "a value that is no URL";
  if (!isDecodable(url.username) || !isDecodable(url.password)) {
    return "a user or password with a % that must be written as %25";
  }
  return null;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function firstSet(reader: EnvReader, names: readonly NameOf<"text">[]): NameOf<"text"> | null {
  return names.find((name) => reader.text(name) !== null) ?? null;
}

function shown(entry: string): string {
  return entry.includes("@") ? 'one with "@"' : quoted(entry);
}
