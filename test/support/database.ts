import { randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { inject } from "vitest";
import { migrate } from "../../src/io/postgres/migrate.ts";
import type { ConnectionOptions } from "../../src/io/postgres/session.ts";
import "./provided.ts";

const HOST_TABLES = join(import.meta.dirname, "..", "..", "drizzle", "host");
const BREAKPOINT = "--> statement-breakpoint";
const CALL_DEADLINE_MS = 15_000;

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
  const server = options.server ?? inject("postgresUrl");
  const name = `watchdog_test_${randomBytes(6).toString("hex")}`;
  await asAdmin(server, (admin) => admin`CREATE DATABASE ${admin(name)}`);
  const direct = new URL(server);
  direct.pathname = `/${name}`;
  const url = options.server === undefined ? behindPooler(direct) : direct;
  const connection = connectionOptions(url);
  const sql = connect(direct.href, 10);
  const dispose = async () => {
    await sql.end({ timeout: 1 });
    await asAdmin(server, (admin) => admin`DROP DATABASE IF EXISTS ${admin(name)} WITH (FORCE)`);
  };
  try {
    if (options.hostTables !== false) await applyFolder(sql, HOST_TABLES);
    if (options.migrate !== false) {
      await migrate(connection, { check: false, withHostTables: false });
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { url: url.href, connection, name, sql, [Symbol.asyncDispose]: dispose };
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

function connectionOptions(url: URL): ConnectionOptions {
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

async function asAdmin(server: string, work: (admin: Sql) => Promise<unknown>): Promise<void> {
  const admin = connect(server, 1);
  try {
    await work(admin);
  } finally {
    await admin.end({ timeout: 5 });
  }
}

function connect(url: string, max: number): Sql {
  return postgres(url, { max, fetch_types: false, onnotice: () => undefined });
}
