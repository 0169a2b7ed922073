import type { DatabaseConfig } from "../config/database.ts";
import type { ConnectionOptions } from "../io/postgres/connection/session.ts";
import { Database } from "../io/postgres/database.ts";
import { PostgresFleet } from "../io/postgres/fleet/fleet.ts";
import type { Access } from "../io/postgres/host-schema.ts";
import { PostgresJournal } from "../io/postgres/journal/journal.ts";
import { PostgresJournalReader } from "../io/postgres/journal/journal-reader.ts";
import { PostgresLeadership } from "../io/postgres/leadership/leadership.ts";
import { type MigrateOptions, type MigrateResult, migrate } from "../io/postgres/migrate.ts";
import { PostgresFigures } from "../io/postgres/runs/fleet-figures.ts";
import { PostgresRunStore } from "../io/postgres/runs/run-store.ts";
import type { PostgresEndpoint } from "../rules/network/endpoints.ts";
import type { Log } from "../watchdog/ports.ts";

/** A statement that has no answer after this long is given up with its connection. See docs/design.md, SQL rules. */
const CALL_DEADLINE_MS = 15_000;
const CLOSE_WITHIN_MS = 2000;

export type { MigrateOptions, MigrateResult } from "../io/postgres/migrate.ts";

/**
 * Connects with the first statement.
 *
 * @param access `read` for a command that writes nothing: no privilege is asked for that it does not need.
 */
export function openPostgres(config: DatabaseConfig, log: Log, access: Access = "write") {
  const database = openDatabase(config, config.poolSize, log, access);
  return {
    store: new PostgresRunStore(database),
    leadership: new PostgresLeadership(database),
    journal: new PostgresJournal(database),
    fleet: new PostgresFleet(database),
    reader: new PostgresJournalReader(database),
    figures: new PostgresFigures(database),
    poolUse: () => database.poolUse,
    // What reads only may be cancelled.
    [Symbol.asyncDispose]: () => database.close(access === "read" ? 0 : CLOSE_WITHIN_MS),
  };
}

export function openDatabase(
  config: DatabaseConfig,
  size: number,
  log: Log,
  access: Access = "write",
): Database {
  const endpoint = () => connectionOptions(config.endpoint.refresh(log));
  return new Database({ endpoint, size, pooler: config.pooler }, log, access);
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
