/** The databases of a test server: made, copied and dropped. */
import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import type { ConnectionOptions } from "../../../src/io/postgres/connection/session.ts";
import { migrate } from "../../../src/io/postgres/migrate.ts";

const HOST_TABLES = join(import.meta.dirname, "..", "..", "..", "drizzle", "host");
const BREAKPOINT = "--> statement-breakpoint";
const CALL_DEADLINE_MS = 15_000;

export interface Contents {
  readonly hostTables: boolean;
  /** The worker's own schema. */
  readonly migrated: boolean;
}

/**
 * What most tests ask for, to be copied: much cheaper than making it anew. Without its row of leadership, whose
 * installation is each database's own.
 *
 * @returns its name.
 */
export async function createTemplate(server: string): Promise<string> {
  const name = await withClient(server, (admin) => createNamed(admin, null));
  const url = databaseUrl(server, name);
  await withClient(url.href, async (sql) => {
    await fill(sql, connectionOptions(url), { hostTables: true, migrated: true });
    await sql`DELETE FROM watchdog.leadership`;
  });
  return name;
}

/** Makes a copy of the template a database of its own. */
export async function completeCopy(sql: Sql): Promise<void> {
  await sql`INSERT INTO watchdog.leadership DEFAULT VALUES`;
}

/** @returns its name. */
export async function createNamed(admin: Sql, template: string | null): Promise<string> {
  const name = `watchdog_test_${randomBytes(6).toString("hex")}`;
  if (template === null) await admin`CREATE DATABASE ${admin(name)}`;
  else await admin`CREATE DATABASE ${admin(name)} TEMPLATE ${admin(template)}`;
  return name;
}

/** Whoever is still connected. */
export async function dropNamed(admin: Sql, name: string): Promise<void> {
  await admin`DROP DATABASE IF EXISTS ${admin(name)} WITH (FORCE)`;
}

export async function fill(
  sql: Sql,
  connection: ConnectionOptions,
  { hostTables, migrated }: Contents,
): Promise<void> {
  if (hostTables) await applyFolder(sql, HOST_TABLES);
  if (migrated) await migrate(connection, { check: false, withHostTables: false });
}

export function databaseUrl(server: string, name: string): URL {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url;
}

export function connectionOptions(url: URL): ConnectionOptions {
  return {
    host: url.hostname,
    port: Number(url.port || 5432),
    path: null,
    database: url.pathname.slice(1),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    tls: url.searchParams.get("sslmode") === "require" ? "require" : "off",
    callDeadlineMs: CALL_DEADLINE_MS,
  };
}

export function connect(url: string, max: number): Sql {
  return postgres(url, { max, fetch_types: false, onnotice: () => undefined });
}

/** With a connection for this alone. */
export async function withClient<T>(url: string, work: (sql: Sql) => Promise<T>): Promise<T> {
  const sql = connect(url, 1);
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Runs the SQL files of a folder, in the order of their names. */
async function applyFolder(sql: Sql, folder: string): Promise<void> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  for (const file of files) {
    const text = await readFile(join(folder, file), "utf8");
    await sql.begin(async (transaction) => {
      for (const statement of text.split(BREAKPOINT)) await transaction.unsafe(statement);
    });
  }
}
