import type { DatabaseConfig } from "../config/database.ts";
import type { ConnectionOptions } from "../io/postgres/connection/session.ts";
import { Database } from "../io/postgres/database.ts";
import { PostgresJournal } from "../io/postgres/journal/journal.ts";
import { PostgresLeadership } from "../io/postgres/leadership/leadership.ts";
import { type MigrateOptions, type MigrateResult, migrate } from "../io/postgres/migrate.ts";
import { PostgresRunStore } from "../io/postgres/runs/run-store.ts";
import type { PostgresEndpoint } from "../rules/network/endpoints.ts";
import type { Log } from "../watchdog/ports.ts";

/** A statement that has no answer after this long is given up with its connection. See docs/design.md, SQL rules. */
const CALL_DEADLINE_MS = 15_000;
const CLOSE_WITHIN_MS = 2000;

export type { MigrateOptions, MigrateResult } from "../io/postgres/migrate.ts";

/** Connects with the first statement. */
export function openPostgres(config: DatabaseConfig, log: Log) {
  const database = openDatabase(config, config.poolSize, log);
  return {
    store: new PostgresRunStore(database),
    leadership: new PostgresLeadership(database),
    journal: new PostgresJournal(database),
    [Symbol.asyncDispose]: () => database.close(CLOSE_WITHIN_MS),
  };
}

export function openDatabase(config: DatabaseConfig, size: number, log: Log): Database {
  const endpoint = () => connectionOptions(config.endpoint.refresh(log));
  return new Database({ endpoint, size, pooler: config.pooler }, log);
}

/** @throws StoreUnavailableError, StoreSchemaError (privileges), `signal.reason`. */
export function migrateDatabase(
  config: DatabaseConfig,
  options: MigrateOptions,
  signal: AbortSignal,
): Promise<MigrateResult> {
  return migrate(connectionOptions(config.endpoint.current), options, signal);
}

function connectionOptions(endpoint: PostgresEndpoint): ConnectionOptions {
  return { ...endpoint, callDeadlineMs: CALL_DEADLINE_MS };
}
