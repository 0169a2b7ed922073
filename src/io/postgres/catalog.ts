import { getTableName } from "drizzle-orm";
import {
  EVERY_PRIVILEGE,
  HOST_UPDATES,
  OWN_PRIVILEGES,
  STAMP_COLUMN,
} from "../../rules/doctor/privileges.ts";
import { statement } from "./connection/statement.ts";
import { leadership, shards, suspicions, verdicts } from "./schema.ts";

/** What the catalog of the database says about the host's tables and our own. */
export interface InspectedRow {
  readonly version: number;
  readonly host_tables: readonly {
    readonly table: string;
    readonly exists: boolean;
    /** Columns that we cannot do without. */
    readonly missing: readonly string[];
  }[];
  /** As `table.column`, like those of our own. */
  readonly host_columns: readonly string[];
  readonly own_columns: readonly string[];
  readonly own_readable: boolean;
  readonly lists_workers: boolean;
  readonly missing_privileges: readonly { readonly name: string; readonly to: "write" | "read" }[];
  readonly runs_are_fixed: boolean;
  /** `null`: there is none. */
  readonly stamp: "writable" | "read-only" | "not granted" | null;
  readonly scan_index: "there" | "missing" | "behind a view";
}

/** Without these nothing can be done. */
export const OWN_TABLES = [leadership, shards, suspicions, verdicts];
export const OWN_NAMES = OWN_TABLES.map(getTableName);

const NEEDED_OF_OWN = Object.entries(OWN_PRIVILEGES).flatMap(([table, privileges]) =>
  privileges.map((privilege) => `('${table}', '${privilege}')`),
);
/** Without the stamp, which is asked for by itself. */
const NEEDED_OF_HOST = Object.entries(HOST_UPDATES).flatMap(([table, columns]) =>
  columns.filter((column) => column !== STAMP_COLUMN).map((column) => `('${table}', '${column}')`),
);

/** Tables are found as the worker's own statements find them: through the search path. */
export const INSPECT = statement<Record<never, never>, InspectedRow>(`
  WITH host(name, oid, required) AS (
    VALUES ('automation_runs', to_regclass('automation_runs')::oid, ARRAY[
        'id', 'automation_id', 'status', 'error_detail', 'created_at', 'started_at', 'completed_at',
        'timeout_at', 'sandbox_id', 'bash_command_id']),
      ('automations', to_regclass('automations')::oid, ARRAY['id', 'user_id', 'org_id', 'timeout'])
  ), host_column(table_name, table_oid, number, name) AS (
    SELECT host.name, host.oid, a.attnum, a.attname::text
    FROM host JOIN pg_attribute a ON a.attrelid = host.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
  ), own(name, oid) AS (
    SELECT c.relname::text, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'watchdog' AND c.relname IN (${texts(OWN_NAMES)})
  ), lacking(name, "to") AS (
    SELECT 'USAGE on schema watchdog', 'write'
    FROM pg_namespace n
    WHERE n.nspname = 'watchdog' AND NOT has_schema_privilege(n.oid, 'USAGE')
    UNION ALL
    SELECT p || ' on watchdog.' || own.name, 'write'
    FROM own, unnest(ARRAY[${texts(EVERY_PRIVILEGE)}]) p
    WHERE (own.name, p) IN (${NEEDED_OF_OWN.join(", ")})
      AND NOT has_table_privilege(own.oid, p)
    UNION ALL
    SELECT 'SELECT on ' || host.name, 'read'
    FROM host WHERE host.oid IS NOT NULL AND NOT has_table_privilege(host.oid, 'SELECT')
    UNION ALL
    SELECT 'UPDATE (' || string_agg(c.name, ', ' ORDER BY c.name) || ') on ' || c.table_name, 'write'
    FROM host_column c
    WHERE (c.table_name, c.name) IN (${NEEDED_OF_HOST.join(", ")})
      AND NOT has_column_privilege(c.table_oid, c.name, 'UPDATE')
    GROUP BY c.table_name
  ), scan_index(leads) AS (
    -- Its first columns; a partial one need not have the status in it.
    SELECT CASE WHEN i.indpred IS NULL THEN names[1:2] = ARRAY['status', 'timeout_at']
                ELSE 'timeout_at' = ANY (names[1:2])
                  AND pg_get_expr(i.indpred, i.indrelid) LIKE '%status%RUNNING%' END
    FROM pg_index i, LATERAL (
      SELECT array_agg(a.attname::text ORDER BY k.place) AS names
      FROM unnest(i.indkey) WITH ORDINALITY k(number, place)
      -- An expression is no column, and keeps its place.
      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) columns
    WHERE i.indrelid = to_regclass('automation_runs') AND i.indisvalid
  )
  SELECT
    current_setting('server_version_num')::int AS version,
    (SELECT jsonb_agg(jsonb_build_object('table', name, 'exists', oid IS NOT NULL, 'missing', ARRAY(
       SELECT needed
       FROM unnest(required) WITH ORDINALITY columns(needed, place)
       WHERE NOT EXISTS (
         SELECT FROM host_column c WHERE c.table_name = host.name AND c.name = needed)
       ORDER BY place)) ORDER BY name)
     FROM host) AS host_tables,
    to_jsonb(ARRAY(SELECT table_name || '.' || name FROM host_column)) AS host_columns,
    to_jsonb(ARRAY(SELECT own.name || '.' || a.attname
      FROM own JOIN pg_attribute a ON a.attrelid = own.oid
      WHERE a.attnum > 0 AND NOT a.attisdropped)) AS own_columns,
    to_jsonb(ARRAY(SELECT to_jsonb(lacking) FROM lacking)) AS missing_privileges,
    (SELECT count(*) = ${OWN_NAMES.length} AND bool_and(has_table_privilege(own.oid, 'SELECT'))
     FROM own, pg_namespace n
     WHERE n.nspname = 'watchdog' AND has_schema_privilege(n.oid, 'USAGE')) IS TRUE
      AS own_readable,
    (SELECT bool_and(has_table_privilege(c.oid, p))
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       unnest(ARRAY[${texts(OWN_PRIVILEGES.workers)}]) p
     WHERE n.nspname = 'watchdog' AND c.relname = 'workers') IS TRUE AS lists_workers,
    -- 4: UPDATE, by itself or through INSTEAD OF triggers.
    EXISTS (SELECT FROM host WHERE name = 'automation_runs'
      AND pg_relation_is_updatable(oid, true) & 4 = 0) AS runs_are_fixed,
    (SELECT CASE WHEN NOT pg_column_is_updatable(table_oid, number, true) THEN 'read-only'
                 WHEN NOT has_column_privilege(table_oid, name, 'UPDATE') THEN 'not granted'
                 ELSE 'writable' END
     FROM host_column
     WHERE table_name = 'automation_runs' AND name = '${STAMP_COLUMN}') AS stamp,
    (SELECT CASE WHEN relkind NOT IN ('r', 'p') THEN 'behind a view'
                 WHEN EXISTS (SELECT FROM scan_index WHERE leads) THEN 'there'
                 ELSE 'missing' END
     FROM pg_class WHERE oid = to_regclass('automation_runs')) AS scan_index`);

function texts(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}
