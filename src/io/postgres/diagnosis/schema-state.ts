import type { SchemaState } from "../../../rules/doctor/postgres.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { type Access, surveySchema } from "../host-schema.ts";
import { knownMigrations } from "../migrate.ts";

/** By the catalog, so that a table which may not be read is no error. */
const MAY_READ = statement<Record<never, never>, { readonly yes: boolean }>(`
  SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS yes
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'watchdog' AND c.relname = 'migrations'`);

const APPLIED = statement<Record<never, never>, { readonly tag: string }>(`
  SELECT tag FROM watchdog.migrations`);

/** @throws StoreUnavailableError. */
export async function readSchemaState(database: Database, access: Access): Promise<SchemaState> {
  const { problems, found } = await surveySchema(database, access);
  const [may] = await database.query("looking for the migrations", MAY_READ, {});
  if (may?.yes !== true) return { problems, found, missingMigrations: null };
  const applied = await database.query("reading the migrations", APPLIED, {});
  const tags = new Set(applied.map(({ tag }) => tag));
  const missingMigrations = knownMigrations().filter((tag) => !tags.has(tag));
  return { problems, found, missingMigrations };
}
