import { isIP } from "node:net";
import type { EnvReader } from "../env/env-reader.ts";
import type { SecretName } from "../env/settings.ts";

/**
 * URLs that carry a password. What is wrong with one is said without quoting any part of it: when a password holds an
 * unencoded `/` or `#`, pieces of it turn up as host, path or parameter.
 */
export interface ConnectionUrl {
  /** Lower case. */
  readonly scheme: string;
  /** Percent-decoded, without the brackets of an IPv6 address; empty when the URL names none. */
  readonly host: string;
  readonly port: number | null;
  readonly user: string | null;
  readonly password: string | null;
  /** Percent-decoded, without the slash at its start. */
  readonly path: string;
  readonly parameters: URLSearchParams;
}

export interface UrlShape {
  /** For messages. */
  readonly example: string;
  /** `null` when the scheme is fine, else what to say about it. */
  readonly refuseScheme: (scheme: string) => string | null;
}

/** `null`, with a problem of `name`, when it is none. */
export function readConnectionUrl(
  reader: EnvReader,
  name: SecretName,
  text: string,
  shape: UrlShape,
): ConnectionUrl | null {
  const parsed = parse(text.trim(), shape);
  if (typeof parsed !== "string") return parsed;
  reader.problem(name, parsed);
  return null;
}

/** What is wrong continues a sentence that starts with the variable's name. */
function parse(text: string, { example, refuseScheme }: UrlShape): ConnectionUrl | string {
  // The WHATWG parser drops line breaks and tabs in silence, also inside a password.
  if (/\p{Cc}/u.test(text)) return "must not contain line breaks or control characters";
  const [, scheme, authority, rest] = /^([a-z][\w+.-]*):\/\/([^/?#]*)(.*)$/is.exec(text) ?? [];
  if (scheme === undefined || authority === undefined || rest === undefined) {
    return `must be a URL such as ${example}, got a value without "://"`;
  }
  const refusal = refuseScheme(scheme.toLowerCase());
  if (refusal !== null) return refusal;
  if (/[@#]/.test(rest)) {
    return "must have special characters in its user and password percent-encoded (/ as %2F, ? as %3F, # as %23, @ as %40)";
  }
  // `user:password@/database?host=/socket` is common for Unix sockets, and no WHATWG URL.
  const hostless = authority.endsWith("@");
  // A neutral scheme: its own may contain an underscore, which the parser does not know.
  const url = URL.parse(`x://${authority}${hostless ? "none" : ""}${rest}`);
  if (url === null || url.port === "0") {
    return `must be a URL such as ${example} with one host, a port from 1 to 65535 and special characters in its password percent-encoded`;
  }
  try {
    return {
      scheme: scheme.toLowerCase(),
      host: hostless ? "" : decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? null : Number(url.port),
      user: decodeURIComponent(url.username) || null,
      password: decodeURIComponent(url.password) || null,
      path: decodeURIComponent(url.pathname.slice(1)),
      // A plus sign is a plus sign here, not the blank of a web form.
      parameters: new URLSearchParams(url.search.replaceAll("+", "%2B")),
    };
  } catch {
    return "must use valid percent-encoding (a percent sign itself is written %25)";
  }
}

/** A host name or an IP address without brackets; no port. Underscores are no DNS, but Compose uses them. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || /^[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*\.?$/u.test(text);
}

/** "a mysql URL" for schemes people mix up; anything else could be a piece of the secret. */
export function describeScheme(scheme: string): string {
  const base = scheme.split("+", 1)[0] ?? "";
  return FOREIGN_SCHEMES.has(base) ? `a ${base} URL` : "a URL of another kind";
}

/** What is left of the query, for warnings. A piece of a password after `&` may pose as a bare name. */
export function describeParameters(parameters: URLSearchParams): ReadonlySet<string> {
  return new Set(
    [...parameters].map(([name, value]) =>
      value !== "" && /^[\w.-]{1,40}$/.test(name)
        ? `the parameter "${name}"`
        : "a parameter without a value",
    ),
  );
}

const FOREIGN_SCHEMES: ReadonlySet<string> = new Set(
  "postgres postgresql mysql mariadb sqlite mssql oracle mongodb redis rediss valkey unix http https".split(
    " ",
  ),
);
