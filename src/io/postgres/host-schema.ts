import { getTableColumns, getTableName, sql } from "drizzle-orm";
import { StoreSchemaError } from "../../watchdog/errors.ts";
import type { Pool } from "./connection/pool.ts";
import type { HostColumns } from "./host-tables.ts";
import { leadership, suspicions, verdicts } from "./schema.ts";

export interface FoundSchema {
  readonly columns: HostColumns;
  /** What the worker can do without, with its remedy. */
  readonly warnings: readonly string[];
  /** What may help a scan for runs that takes too long; `null` when nothing is known to be lacking. */
  readonly scanAdvice: string | null;
}

/**
 * Looks at what the database offers, in one statement.
 *
 * @throws StoreSchemaError naming everything that is missing, with its remedy.
 */
export async function inspectSchema(pool: Pool): Promise<FoundSchema> {
  const [row] = await pool.run("reading the schema", (connection) =>
    connection.db.execute<InspectedRow>(INSPECT),
  );
  if (row === undefined) throw new StoreSchemaError("reading the schema returned nothing");
  const problems = findProblems(row);
  if (problems.length > 0) throw new StoreSchemaError(problems.join("; "));
  const automations = new Set(row.automation_columns);
  return {
    columns: {
      statusDetail: row.run_columns.includes("status_detail"),
      sandboxCleanupDueAt: row.stamp === "writable",
      keepAlive: automations.has("keep_alive"),
      presetMetadata: automations.has("preset_metadata"),
      updatedAt: automations.has("updated_at"),
    },
    warnings: [
      ...(row.stamp === null ? [] : STAMP_WARNINGS[row.stamp]),
      ...(row.scan_index === "missing" ? [SCAN_ADVICE.missing] : []),
    ],
    scanAdvice: SCAN_ADVICE[row.scan_index],
  };
}

const WITHOUT_STAMPS =
  "sandbox_cleanup_due_at is left alone: sandboxes are deleted without being paused first, and none that the host has stamped";

/** Verdicts do not depend on the stamp, so neither does readiness. */
const STAMP_WARNINGS = {
  writable: [],
  "read-only": [
    `${WITHOUT_STAMPS}; automation_runs does not let that column be updated: make it an updatable column of the view`,
  ],
  "not granted": [
    `${WITHOUT_STAMPS}; the database user lacks privileges: grant it UPDATE (sandbox_cleanup_due_at) on automation_runs`,
  ],
} as const;

const SCAN_ADVICE = {
  there: null,
  missing:
    "automation_runs has no index on (status, timeout_at), and looking for stale runs reads all of it: run CREATE INDEX CONCURRENTLY ON automation_runs (status, timeout_at)",
  "behind a view":
    "see that the table behind the view automation_runs has an index on its (status, timeout_at)",
} as const;

interface InspectedRow extends Record<string, unknown> {
  readonly version: number;
  readonly run_columns: readonly string[];
  readonly automation_columns: readonly string[];
  readonly own_tables: readonly string[];
  /** As `table.column`. */
  readonly own_columns: readonly string[];
  readonly missing_privileges: readonly string[];
  readonly fixed_tables: readonly string[];
  /** `null`: there is none. */
  readonly stamp: keyof typeof STAMP_WARNINGS | null;
  readonly scan_index: keyof typeof SCAN_ADVICE;
}

const REQUIRED_RUN_COLUMNS = [
  "id",
  "automation_id",
  "status",
  "error_detail",
  "created_at",
  "started_at",
  "completed_at",
  "timeout_at",
  "sandbox_id",
  "bash_command_id",
];
const REQUIRED_AUTOMATION_COLUMNS = ["id", "user_id", "org_id", "timeout"];
const OWN_TABLES = ["leadership", "suspicions", "verdicts"];
const OWN_COLUMNS = [leadership, suspicions, verdicts].flatMap((table) =>
  Object.values(getTableColumns(table)).map(({ name }) => `${getTableName(table)}.${name}`),
);
const MIN_VERSION = 140_000;

function findProblems(row: InspectedRow): readonly string[] {
  const problems: string[] = [];
  if (row.version < MIN_VERSION) {
    problems.push(`PostgreSQL must be 14 or newer, found ${Math.trunc(row.version / 10_000)}`);
  }
  const missingTables = OWN_TABLES.filter((table) => !row.own_tables.includes(table));
  if (missingTables.length > 0) {
    const names = missingTables.map((table) => `watchdog.${table}`).join(", ");
    problems.push(`the worker's tables are missing (${names}): run \`run-watchdog migrate\``);
  }
  const missingColumns = OWN_COLUMNS.filter((column) => !row.own_columns.includes(column));
  if (missingTables.length === 0 && missingColumns.length > 0) {
    const names = missingColumns.map((column) => `watchdog.${column}`).join(", ");
    problems.push(
      `the worker's tables are older than this version (${names} missing): run \`run-watchdog migrate\``,
    );
  }
  problems.push(
    ...columnProblems("automation_runs", REQUIRED_RUN_COLUMNS, row.run_columns),
    ...columnProblems("automations", REQUIRED_AUTOMATION_COLUMNS, row.automation_columns),
  );
  for (const table of row.fixed_tables) {
    problems.push(`${table} cannot be updated: make it an updatable view`);
  }
  if (row.missing_privileges.length > 0) {
    const grants = row.missing_privileges.join(", ");
    problems.push(`the database user lacks privileges: grant it ${grants}`);
  }
  return problems;
}

function columnProblems(
  table: string,
  required: readonly string[],
  found: readonly string[],
): readonly string[] {
  if (found.length === 0) {
    return [
      `the host's table ${table} is missing: point DATABASE_URL at the host's database, or create an updatable view of that name`,
    ];
  }
  const missing = required.filter((column) => !found.includes(column));
  if (missing.length === 0) return [];
  return [`${table} lacks the columns ${missing.join(", ")}: update the host or complete the view`];
}

/** Tables are found as the worker's own statements find them: through the search path. */
const INSPECT = sql`
  WITH host(name, oid) AS (
    VALUES ('automation_runs', to_regclass('automation_runs')::oid),
           ('automations', to_regclass('automations')::oid)
  ), host_column(table_name, table_oid, number, name) AS (
    SELECT host.name, host.oid, a.attnum, a.attname::text
    FROM host JOIN pg_attribute a ON a.attrelid = host.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
  ), own(name, oid) AS (
    SELECT c.relname::text, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'watchdog' AND c.relname IN ('leadership', 'suspicions', 'verdicts')
  ), lacking(privilege) AS (
    SELECT 'USAGE on schema watchdog'
    FROM pg_namespace n
    WHERE n.nspname = 'watchdog' AND NOT has_schema_privilege(n.oid, 'USAGE')
    UNION ALL
    SELECT p || ' on watchdog.' || own.name
    FROM own, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p
    WHERE (p IN ('SELECT', 'UPDATE') OR own.name <> 'leadership')
      AND NOT has_table_privilege(own.oid, p)
    UNION ALL
    SELECT 'SELECT on ' || host.name
    FROM host WHERE host.oid IS NOT NULL AND NOT has_table_privilege(host.oid, 'SELECT')
    UNION ALL
    SELECT 'UPDATE (' || string_agg(c.name, ', ' ORDER BY c.name) || ') on ' || c.table_name
    FROM host_column c
    WHERE (c.table_name, c.name) IN (
        ('automation_runs', 'status'), ('automation_runs', 'error_detail'),
        ('automation_runs', 'completed_at'), ('automation_runs', 'timeout_at'),
        ('automation_runs', 'status_detail'), ('automations', 'preset_metadata'),
        ('automations', 'updated_at'))
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
    to_jsonb(ARRAY(SELECT name FROM host_column WHERE table_name = 'automation_runs'))
      AS run_columns,
    to_jsonb(ARRAY(SELECT name FROM host_column WHERE table_name = 'automations'))
      AS automation_columns,
    to_jsonb(ARRAY(SELECT name FROM own)) AS own_tables,
    to_jsonb(ARRAY(SELECT own.name || '.' || a.attname
      FROM own JOIN pg_attribute a ON a.attrelid = own.oid
      WHERE a.attnum > 0 AND NOT a.attisdropped)) AS own_columns,
    to_jsonb(ARRAY(SELECT privilege FROM lacking)) AS missing_privileges,
    -- 4: UPDATE, by itself or through INSTEAD OF triggers.
    to_jsonb(ARRAY(SELECT name FROM host WHERE name = 'automation_runs'
      AND pg_relation_is_updatable(oid, true) & 4 = 0)) AS fixed_tables,
    (SELECT CASE WHEN NOT pg_column_is_updatable(table_oid, number, true) THEN 'read-only'
                 WHEN NOT has_column_privilege(table_oid, name, 'UPDATE') THEN 'not granted'
                 ELSE 'writable' END
     FROM host_column
     WHERE table_name = 'automation_runs' AND name = 'sandbox_cleanup_due_at') AS stamp,
    (SELECT CASE WHEN relkind NOT IN ('r', 'p') THEN 'behind a view'
                 WHEN EXISTS (SELECT FROM scan_index WHERE leads) THEN 'there'
                 ELSE 'missing' END
     FROM pg_class WHERE oid = to_regclass('automation_runs')) AS scan_index
`;
