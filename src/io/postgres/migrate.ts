import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { TransactionSql } from "postgres";
import { StoreSchemaError, StoreUnavailableError } from "../../watchdog/errors.ts";
import { cannotOpen, isUnanswered, translate } from "./connection/errors.ts";
import { type ConnectionOptions, connecting, Session, succeeds } from "./connection/session.ts";

export interface MigrateOptions {
  /** Only tell what would be applied. */
  readonly check: boolean;
  /** Also create equivalents of the host's tables: for development and tests. */
  readonly withHostTables: boolean;
}

export interface MigrateResult {
  /** Names of the migrations applied by this call; with `check`, those that would be. */
  readonly applied: readonly string[];
  readonly total: number;
  readonly hostTables: boolean;
}

/**
 * Brings the schema `watchdog` up to date in one transaction. Safe from several pods at once: a transaction-scoped
 * advisory lock lets one of them work and the others find nothing to do. Migrations that this version does not know are
 * left alone, so that an older program runs beside a newer schema.
 *
 * @param signal ends it: what the server does for it is cancelled, and nothing of it stays.
 * @throws StoreUnavailableError, StoreSchemaError (privileges, an installation without its files), `signal.reason`.
 */
export async function migrate(
  connection: ConnectionOptions,
  options: MigrateOptions,
  signal: AbortSignal = new AbortController().signal,
): Promise<MigrateResult> {
  const folder = findFolder();
  // Without statement_timeout: building an index takes as long as it takes.
  const session = new Session(connection, false);
  await session.open().catch((error: unknown) => {
    throw cannotOpen(connecting("migrating", connection), error);
  });
  const { client } = session;
  // Each statement sees what others committed while this one waited for the lock, whatever the role's default is.
  const migrating = client.begin("isolation level read committed read write", (tx) =>
    options.check ? list(tx, folder) : apply(tx, folder, options, signal),
  );
  const cancel = () => void session.stop(migrating);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    return await migrating;
  } catch (error) {
    if (isUnanswered(error)) await succeeds(session.cancel());
    if (signal.aborted) throw signal.reason;
    if (error instanceof StoreUnavailableError || error instanceof StoreSchemaError) throw error;
    throw options.check
      ? translate("reading which migrations were applied", error, TO_CHECK)
      : translate("migrating", error, TO_APPLY);
  } finally {
    signal.removeEventListener("abort", cancel);
    await session.end(CLOSE_WITHIN_MS);
  }
}

const CLOSE_WITHIN_MS = 1000;
/** By SQLSTATE: insufficient privilege. */
const TO_APPLY = { "42501": "migrate as a user that has CREATE there, or owns it, or grant that" };
const TO_CHECK = {
  "42501":
    "grant USAGE on schema watchdog and SELECT on watchdog.migrations, as `run-watchdog migrate --print-grants` does",
};

/** Any number but 849320147, which the host's own migrations take. */
const ADVISORY_LOCK = 7_263_195_421;

const BOOKKEEPING = "to_regclass('watchdog.migrations')";

async function apply(
  tx: TransactionSql,
  folder: string,
  { withHostTables }: MigrateOptions,
  signal: AbortSignal,
): Promise<MigrateResult> {
  await tx`SELECT pg_advisory_xact_lock(${ADVISORY_LOCK}::text::bigint)`;
  // Asked for only when it is missing: IF NOT EXISTS needs the privilege to create even when there is nothing to do.
  if (!(await exists(tx, "to_regnamespace('watchdog')"))) await tx`CREATE SCHEMA watchdog`;
  if (!(await exists(tx, BOOKKEEPING))) {
    await tx`CREATE TABLE watchdog.migrations (
      tag text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`;
  }
  const result = await list(tx, folder);
  for (const tag of result.applied) {
    signal.throwIfAborted();
    await runFile(tx, join(folder, `${tag}.sql`));
    await tx`INSERT INTO watchdog.migrations (tag) VALUES (${tag})`;
  }
  const hostFiles = withHostTables ? readdirSync(join(folder, "host")) : [];
  for (const name of hostFiles.filter((file) => file.endsWith(".sql")).sort()) {
    await runFile(tx, join(folder, "host", name));
  }
  return { ...result, hostTables: withHostTables };
}

async function list(tx: TransactionSql, folder: string): Promise<MigrateResult> {
  const known = readTags(folder);
  const rows = (await exists(tx, BOOKKEEPING))
    ? await tx<{ readonly tag: string }[]>`SELECT tag FROM watchdog.migrations`
    : [];
  const present = new Set(rows.map((row) => row.tag));
  return {
    applied: known.filter((tag) => !present.has(tag)),
    total: known.length,
    hostTables: false,
  };
}

async function exists(tx: TransactionSql, what: string): Promise<boolean> {
  const [row] = await tx.unsafe<{ readonly found: boolean }[]>(
    `SELECT ${what} IS NOT NULL AS found`,
  );
  return row?.found === true;
}

/** drizzle-kit separates statements with a marker of its own. */
async function runFile(tx: TransactionSql, path: string): Promise<void> {
  for (const statement of readOwn(path).split("--> statement-breakpoint")) {
    if (statement.trim() !== "") await tx.unsafe(statement);
  }
}

/** The migrations that this version knows, in their order. */
export function knownMigrations(): readonly string[] {
  return readTags(findFolder());
}

function readTags(folder: string): readonly string[] {
  const journal: unknown = JSON.parse(readOwn(join(folder, JOURNAL)));
  const entries: unknown = Reflect.get(Object(journal), "entries");
  if (!Array.isArray(entries)) throw new Error(`${JOURNAL} has no entries`);
  return entries.map((entry: unknown) => String(Reflect.get(Object(entry), "tag")));
}

const JOURNAL = join("meta", "_journal.json");

/** What the file system says of a file of ours must not be taken for what it says of a database's socket. */
function readOwn(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? `: ${String(cause.code)}` : "";
    throw new StoreSchemaError(
      `${basename(path)} of the migrations of this installation cannot be read${code}, install run-watchdog again`,
      { cause },
    );
  }
}

/** The folder `drizzle` beside the sources or beside the bundle: the first one on the way up. */
function findFolder(): string {
  let at = import.meta.dirname;
  while (true) {
    const folder = join(at, "drizzle");
    if (existsSync(join(folder, JOURNAL))) return folder;
    const parent = dirname(at);
    if (parent === at) {
      throw new StoreSchemaError(
        "the folder drizzle/ with the migrations of this installation is missing, install run-watchdog again",
      );
    }
    at = parent;
  }
}
