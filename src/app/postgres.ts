import { readFileSync } from "node:fs";
import type { DatabaseConfig } from "../config/database.ts";
import { ConfigError } from "../config.ts";
import { Database } from "../io/postgres/database.ts";
import { PostgresJournal } from "../io/postgres/journal.ts";
import { PostgresLeadership } from "../io/postgres/leadership.ts";
import { PostgresRunStore } from "../io/postgres/run-store.ts";
import type { ConnectionOptions, TlsMode } from "../io/postgres/session.ts";
import type { Journal, Leadership, Log, RunStore } from "../watchdog/ports.ts";

/** A statement that has no answer after this long is given up with its connection. Design section 6. */
const CALL_DEADLINE_MS = 15_000;
const CLOSE_WITHIN_MS = 2000;

export interface Stores extends AsyncDisposable {
  readonly store: RunStore;
  readonly leadership: Leadership;
  readonly journal: Journal;
}

/** Connects with the first statement. */
export function openPostgres(config: DatabaseConfig, log: Log): Stores {
  const database = openDatabase(config, config.poolSize, log);
  return {
    store: new PostgresRunStore(database),
    leadership: new PostgresLeadership(database),
    journal: new PostgresJournal(database),
    [Symbol.asyncDispose]: () => database.close(CLOSE_WITHIN_MS),
  };
}

export function openDatabase(config: DatabaseConfig, size: number, log: Log): Database {
  return new Database({ ...connectionOptions(config), size, pooler: config.pooler }, log);
}

export function connectionOptions(config: DatabaseConfig): ConnectionOptions {
  const { host, port, path, database, user, password, ssl } = config;
  const tls = tlsMode(ssl);
  return { host, port, path, database, user, password, tls, callDeadlineMs: CALL_DEADLINE_MS };
}

function tlsMode(ssl: DatabaseConfig["ssl"]): TlsMode {
  if (typeof ssl === "string") return ssl;
  const ca = ssl.rootCertPath === null ? null : readCertificate(ssl.rootCertPath);
  return { verify: ssl.verify, ca };
}

function readCertificate(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    const problem = `the database URL's sslrootcert must name a readable file, got ${JSON.stringify(path)} (${why})`;
    throw new ConfigError([problem], { cause: error });
  }
}
