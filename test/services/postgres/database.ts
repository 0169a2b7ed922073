import type { Sql } from "postgres";
import { inject } from "vitest";
import type { ConnectionOptions } from "../../../src/io/postgres/connection/session.ts";
import "../provided.ts";
import {
  completeCopy,
  connect,
  connectionOptions,
  createNamed,
  databaseUrl,
  dropNamed,
  fill,
  withClient,
} from "./server-databases.ts";

export interface DatabaseOptions {
  /** Creates the host's tables; default true. */
  readonly hostTables?: boolean;
  /** Creates the worker's own schema; default true. */
  readonly migrate?: boolean;
  /** Another server than the test run's. */
  readonly server?: string;
}

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** The same place for what does not take a URL. */
  readonly connection: ConnectionOptions;
  readonly name: string;
  /** A client of its own for the test to look and to interfere with, never by way of a pooler. */
  readonly sql: Sql;
}

/** An empty database of one's own, dropped when it is disposed of, whoever is still connected. */
export async function createDatabase(options: DatabaseOptions = {}): Promise<TestDatabase> {
  const { server = inject("postgresUrl"), hostTables = true, migrate: migrated = true } = options;
  const copies = options.server === undefined && hostTables && migrated;
  const template = copies ? inject("templateDatabase") : null;
  const name = await asAdmin(options.server, (admin) => createNamed(admin, template));
  const direct = databaseUrl(server, name);
  const url = options.server === undefined ? behindPooler(direct) : direct;
  const connection = connectionOptions(url);
  const sql = connect(direct.href, 10);
  const dispose = async () => {
    await sql.end({ timeout: 1 });
    await asAdmin(options.server, (admin) => dropNamed(admin, name));
  };
  try {
    if (copies) await completeCopy(sql);
    else await fill(sql, connection, { hostTables, migrated });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url: url.href, connection, name, sql, [Symbol.asyncDispose]: dispose };
}

let admin: Sql | null = null;

/** On the test run's server all databases of a file are made by one connection, which ends with the file's process. */
function asAdmin<T>(server: string | undefined, work: (admin: Sql) => Promise<T>): Promise<T> {
  if (server !== undefined) return withClient(server, work);
  admin ??= connect(inject("postgresUrl"), 1);
  return work(admin);
}

/** The same database by way of the pooler, where the test run has one. */
function behindPooler(direct: URL): URL {
  const pooler = inject("poolerAddress");
  if (pooler === undefined) return direct;
  const url = new URL(direct);
  url.hostname = pooler.host;
  url.port = String(pooler.port);
  return url;
}
