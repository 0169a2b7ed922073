import type { DatabaseConfig } from "../config/database.ts";
import type { DatabaseEndpoint } from "../config/urls/database-url.ts";
import type { ConnectionOptions } from "../io/postgres/connection/session.ts";
import { Database } from "../io/postgres/database.ts";
import { PostgresJournal } from "../io/postgres/journal/journal.ts";
import { PostgresLeadership } from "../io/postgres/leadership/leadership.ts";
import { PostgresRunStore } from "../io/postgres/runs/run-store.ts";
import type { Log } from "../watchdog/ports.ts";
import type { Journal, Leadership, RunStore } from "../watchdog/store-ports.ts";

/** A statement that has no answer after this long is given up with its connection. See docs/design.md, SQL rules. */
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
  const endpoint = () => connectionOptions(config.endpoint.refresh(log));
  return new Database({ endpoint, size, pooler: config.pooler }, log);
}

export function connectionOptions(endpoint: DatabaseEndpoint): ConnectionOptions {
  const { ssl: tls, ...rest } = endpoint;
  return { ...rest, tls, callDeadlineMs: CALL_DEADLINE_MS };
}
