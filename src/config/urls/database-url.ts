import type { PostgresEndpoint, TlsMode } from "../../rules/network/endpoints.ts";
import type { EnvReader } from "../env/env-reader.ts";
import {
  type ConnectionUrl,
  describeParameters,
  describeScheme,
  isHost,
  readConnectionUrl,
} from "./connection-url.ts";
import { SSL_MODES, sslSetting } from "./ssl-mode.ts";

export type UrlName = "DATABASE_URL" | "AUTOMATION_DB_URL";

/** Stands in for an endpoint that could not be read. */
export const BLANK_ENDPOINT: PostgresEndpoint = {
  host: "",
  port: 0,
  path: null,
  database: "",
  user: "",
  password: null,
  tls: "off",
};

const DEFAULT_PORT = 5432;

export function readDatabaseUrl(reader: EnvReader, name: UrlName, text: string): PostgresEndpoint {
  const example = "postgres://user:password@host:5432/database";
  const url = readConnectionUrl(reader, name, text, { example, refuseScheme });
  return url === null ? BLANK_ENDPOINT : fromUrl(reader, name, url);
}

/** SQLAlchemy names its driver in the scheme: `postgresql+asyncpg`. Which one does not matter here. */
function refuseScheme(scheme: string): string | null {
  if (/^postgres(ql)?(\+.+)?$/.test(scheme)) return null;
  return `must be a postgres:// or postgresql:// URL, got ${describeScheme(scheme)} (the watchdog works on PostgreSQL only)`;
}

function fromUrl(reader: EnvReader, name: UrlName, url: ConnectionUrl): PostgresEndpoint {
  const { parameters } = url;
  function take(key: string): string | null {
    const value = parameters.get(key);
    parameters.delete(key);
    return value || null;
  }
  // As in libpq, a parameter goes before the same thing in front of the question mark.
  const host = take("host") ?? take("unix_sock") ?? url.host;
  const port = portParameter(reader, name, take("port")) ?? url.port ?? DEFAULT_PORT;
  const endpoint = {
    ...location(host, port),
    database: take("dbname") ?? url.path,
    user: take("user") ?? url.user ?? "",
    password: take("password") ?? url.password,
    tls: sslFromUrl(reader, name, {
      sslmode: take("sslmode"),
      ssl: take("ssl"),
      rootCert: take("sslrootcert"),
    }),
  };
  // Ignored like the others, it would have the worker judge the runs of another schema.
  if ([...parameters].some(choosesSchema)) reader.problem(name, SCHEMA_CHOSEN);
  for (const parameter of describeParameters(parameters)) {
    reader.warn(`${name} has ${parameter}, which is meant for another driver, it is ignored`);
  }
  const wrong = whatIsWrong(endpoint);
  if (wrong !== null) reader.problem(name, wrong);
  return plainOnSocket(endpoint);
}

const SCHEMA_CHOSEN =
  "must not choose a schema, got a parameter that sets one or the search path: set it for the database user instead (ALTER ROLE ... SET search_path = ...)";

/** In the words of many drivers: schema, currentSchema, search_path, Search Path, options=-c search_path=... */
function choosesSchema([key, value]: readonly [string, string]): boolean {
  const word = key.toLowerCase().replace(/[^a-z]/g, "");
  if (value === "") return false;
  if (word === "options") return /search[_-]?path/i.test(value);
  return word.endsWith("schema") || word.includes("searchpath");
}

function portParameter(reader: EnvReader, name: UrlName, text: string | null): number | null {
  if (text === null) return null;
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) {
    reader.problem(
      name,
      "must have a port from 1 to 65535, got another value as its port= parameter",
    );
  }
  return port;
}

/** A host with a slash is the directory of a Unix socket, or the socket itself. */
export function location(
  host: string,
  port: number,
): Pick<PostgresEndpoint, "host" | "port" | "path"> {
  if (!host.startsWith("/")) return { host, port, path: null };
  const path = host.includes("/.s.PGSQL.") ? host : `${host.replace(/\/$/, "")}/.s.PGSQL.${port}`;
  return { host, port, path };
}

function whatIsWrong(endpoint: PostgresEndpoint): string | null {
  const { host, database, user, password } = endpoint;
  if (host === "") return "must name a host, got none (for a Unix socket add ?host=/directory)";
  if (host.includes(",")) return "must name one host, got several (name the primary or a proxy)";
  if (endpoint.path === null && !isHost(host)) return "must name a host, got something else";
  if (user === "") return "must name a user, got none (postgres://user:password@host/database)";
  if (database === "") return "must name a database, got none (postgres://user@host/database)";
  if (database.includes("/")) return "must have one name after the host, got a path with slashes";
  if ([host, user, password ?? "", database].some((part) => part.includes("\0"))) {
    return "must not contain a NUL character (%00)";
  }
  return null;
}

/** TLS makes no sense on a Unix socket; libpq ignores it there as well. */
export function plainOnSocket(endpoint: PostgresEndpoint): PostgresEndpoint {
  return endpoint.path === null ? endpoint : { ...endpoint, tls: "off" };
}

interface SslParameters {
  readonly sslmode: string | null;
  readonly ssl: string | null;
  readonly rootCert: string | null;
}

function sslFromUrl(reader: EnvReader, name: UrlName, given: SslParameters): TlsMode {
  const wanted = sslSetting(given.sslmode ?? given.ssl ?? "", rootCertReader(reader, name, given));
  if (wanted === null) {
    reader.problem(name, `must have an sslmode of ${SSL_MODES}, got another word`);
    return "off";
  }
  if (given.sslmode !== null && given.ssl !== null) {
    reader.warn(`${name} has both sslmode and ssl, ssl is ignored`);
  }
  if (given.rootCert !== null && typeof wanted === "string") {
    reader.warn(`${name} has sslrootcert but does not verify, add sslmode=verify-full to use it`);
  }
  return wanted;
}

/** `null` when no authority is named; `system` names the runtime's, as in libpq. */
function rootCertReader(
  reader: EnvReader,
  name: UrlName,
  { rootCert: path }: SslParameters,
): (() => string | null) | null {
  if (path === null) return null;
  if (path === "system") return () => null;
  return () => reader.file(name, `${name}'s sslrootcert must name a readable file`, path);
}
