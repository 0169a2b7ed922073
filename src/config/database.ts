import type { PostgresEndpoint } from "../rules/network/endpoints.ts";
import { type EnvReader, quoted } from "./env/env-reader.ts";
import { EnvSecret, type ReloadableSecret } from "./env/reloadable-secret.ts";
import { isHost } from "./urls/connection-url.ts";
import { BLANK_ENDPOINT, location, plainOnSocket, readDatabaseUrl } from "./urls/database-url.ts";
import { SSL_MODES, sslSetting } from "./urls/ssl-mode.ts";

export interface DatabaseConfig {
  readonly endpoint: ReloadableSecret<PostgresEndpoint>;
  readonly poolSize: number;
  /** Whether a transaction pooler stands in between; `auto` finds out. */
  readonly pooler: "auto" | "on" | "off";
}

export function readDatabase(reader: EnvReader): DatabaseConfig {
  return {
    endpoint: new EnvSecret(reader, readEndpoint),
    poolSize: reader.integer("WATCHDOG_DB_POOL"),
    pooler: reader.choice("WATCHDOG_DB_POOLER"),
  };
}

function readEndpoint(reader: EnvReader): PostgresEndpoint {
  for (const name of ["DATABASE_URL", "AUTOMATION_DB_URL"] as const) {
    const text = reader.secret(name);
    if (text !== null) return readDatabaseUrl(reader, name, text);
    // Broken is not unset: the next source would be another database.
    if (reader.failed(name)) return BLANK_ENDPOINT;
  }
  const host = reader.text("AUTOMATION_DB_HOST");
  if (host !== null) return readParts(reader, host);
  reader.problem(
    "DATABASE_URL",
    "must be set (or AUTOMATION_DB_URL, or AUTOMATION_DB_HOST and its companions), got none of them",
  );
  return BLANK_ENDPOINT;
}

/** The host service's own variables, with its defaults: the same environment leads to the same database. */
function readParts(reader: EnvReader, host: string): PostgresEndpoint {
  const port = reader.port("AUTOMATION_DB_PORT");
  if (!host.startsWith("/") && !isHost(host)) {
    reader.problem(
      "AUTOMATION_DB_HOST",
      "must be one host name or address, or the directory of a Unix socket, got something else (a URL belongs into DATABASE_URL)",
    );
  }
  return plainOnSocket({
    ...location(host, port),
    database: reader.text("AUTOMATION_DB_NAME"),
    user: reader.text("AUTOMATION_DB_USER"),
    password: reader.secret("AUTOMATION_DB_PASS"),
    tls: sslFromParts(reader),
  });
}

function sslFromParts(reader: EnvReader): PostgresEndpoint["tls"] {
  for (const name of ["AUTOMATION_DB_SSL_MODE", "DB_SSL_MODE", "PGSSLMODE"] as const) {
    const word = reader.text(name);
    if (word === null) continue;
    const wanted = sslSetting(word, null);
    if (wanted !== null) return wanted;
    reader.problem(name, `must be ${SSL_MODES}, got ${quoted(word)}`);
    return "off";
  }
  return "prefer";
}
