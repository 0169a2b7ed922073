import { getTableColumns, getTableName } from "drizzle-orm";
import { StoreSchemaError } from "../../watchdog/errors.ts";
import { INSPECT, type InspectedRow, OWN_NAMES, OWN_TABLES } from "./catalog.ts";
import type { Pool } from "./connection/pool.ts";

/**
 * Columns of the host's tables that older hosts lack, or that a view may leave out. The tables belong to the host: the
 * worker never creates or alters them, and a host with other names provides updatable views.
 */
export interface HostColumns {
  readonly statusDetail: boolean;
  /** Also false where it cannot be written: it is of no use to us then. */
  readonly sandboxCleanupDueAt: boolean;
  readonly keepAlive: boolean;
  readonly presetMetadata: boolean;
  readonly updatedAt: boolean;
}

/** Whoever only looks needs nothing but SELECT, and no table of our own. */
export type Access = "write" | "read";

export interface FoundSchema {
  readonly columns: HostColumns;
  /** Whether our own tables can be read. Always true with access to write. */
  readonly remembers: boolean;
  /** Whether workers can be listed. */
  readonly listsWorkers: boolean;
  /** What the worker can do without, with its remedy. */
  readonly warnings: readonly string[];
  /** What may help a scan for runs that takes too long; `null` when nothing is known to be lacking. */
  readonly scanAdvice: string | null;
}

/** What is missing or wrong. */
export interface SchemaProblem {
  readonly about: "version" | "own tables" | "host tables" | "privileges";
  readonly found: string;
  /** `null` where what was found says it. */
  readonly remedy: string | null;
  /** What the database user lacks, as in GRANT. */
  readonly grants?: readonly string[];
}

/**
 * Looks at what the database offers, in one statement.
 *
 * @throws StoreSchemaError naming everything that is missing, with its remedy.
 */
export async function inspectSchema(pool: Pool, access: Access): Promise<FoundSchema> {
  const { problems, found } = await surveySchema(pool, access);
  if (problems.length > 0) throw new StoreSchemaError(problems.map(inWords));
  return found;
}

/** The same, for whoever wants to know of the rest as well when something is missing. Needs no privilege on any table. */
export async function surveySchema(
  pool: Pick<Pool, "run">,
  access: Access,
): Promise<{ readonly problems: readonly SchemaProblem[]; readonly found: FoundSchema }> {
  const [row] = await pool.run("reading the schema", (connection) => connection.query(INSPECT, {}));
  if (row === undefined) throw new StoreSchemaError("reading the schema returned nothing");
  const writes = access === "write";
  const remembers = writes || row.own_readable;
  const problems = findProblems(row, writes, remembers);
  const found = foundIn(row, writes, remembers);
  // Nobody can be granted anything on a table that is missing.
  const isMissing = problems.some(({ about }) => about === "own tables");
  const warnings = found.warnings.filter((text) => !isMissing || text !== NOT_LISTED);
  return { problems, found: { ...found, warnings } };
}

function inWords({ found, remedy }: SchemaProblem): string {
  return remedy === null ? found : `${found}: ${remedy}`;
}

function foundIn(row: InspectedRow, writes: boolean, remembers: boolean): FoundSchema {
  const has = new Set(row.host_columns);
  return {
    columns: {
      statusDetail: has.has("automation_runs.status_detail"),
      sandboxCleanupDueAt: row.stamp === "writable",
      keepAlive: has.has("automations.keep_alive"),
      presetMetadata: has.has("automations.preset_metadata"),
      updatedAt: has.has("automations.updated_at"),
    },
    remembers,
    listsWorkers: row.lists_workers,
    warnings: [
      ...(row.stamp === null || !writes ? [] : STAMP_WARNINGS[row.stamp]),
      ...(row.lists_workers || !writes ? [] : [NOT_LISTED]),
      ...(remembers ? [] : [NOT_REMEMBERED]),
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

const NOT_LISTED =
  "this worker is not listed for `run-watchdog status`; the database user lacks privileges: grant it SELECT, INSERT, UPDATE, DELETE on watchdog.workers";

const NOT_REMEMBERED =
  "the worker's own tables are missing or cannot be read, so nothing is known from earlier sweeps and everything is judged from one observation: run `run-watchdog migrate`, or grant USAGE on schema watchdog and SELECT on its tables";

const SCAN_ADVICE = {
  there: null,
  missing:
    "automation_runs has no index on (status, timeout_at), and looking for stale runs reads all of it: run CREATE INDEX CONCURRENTLY ON automation_runs (status, timeout_at)",
  "behind a view":
    "see that the table behind the view automation_runs has an index on its (status, timeout_at)",
} as const;

const MIN_VERSION = 140_000;

function findProblems(
  row: InspectedRow,
  writes: boolean,
  remembers: boolean,
): readonly SchemaProblem[] {
  const problems: SchemaProblem[] = [];
  const about = "host tables";
  if (row.version < MIN_VERSION) {
    const found = `PostgreSQL must be 14 or newer, found ${Math.trunc(row.version / 10_000)}`;
    problems.push({ about: "version", found, remedy: null });
  }
  if (remembers) problems.push(...ownProblems(row.own_columns));
  for (const { table, exists, missing } of row.host_tables) {
    if (!exists) {
      const remedy =
        "point DATABASE_URL or AUTOMATION_DB_* at the host's database, or create an updatable view of that name";
      problems.push({ about, found: `the host's table ${table} is missing`, remedy });
    } else if (missing.length > 0) {
      const names = missing.join(", ");
      const remedy = "update the host or complete the view";
      problems.push({ about, found: `${table} lacks the columns ${names}`, remedy });
    }
  }
  if (writes && row.runs_are_fixed) {
    const remedy = "make it an updatable view";
    problems.push({ about, found: "automation_runs cannot be updated", remedy });
  }
  const missing = row.missing_privileges.filter(({ to }) => writes || to === "read");
  if (missing.length > 0) {
    const grants = missing.map(({ name }) => name);
    const remedy = `grant it ${grants.join(", ")}`;
    const found = "the database user lacks privileges";
    problems.push({ about: "privileges", found, remedy, grants });
  }
  return problems;
}

function ownProblems(columnsThere: readonly string[]): readonly SchemaProblem[] {
  const about = "own tables";
  const remedy = "run `run-watchdog migrate`";
  const missingTables = OWN_NAMES.filter(
    (table) => !columnsThere.some((column) => column.startsWith(`${table}.`)),
  );
  if (missingTables.length > 0) {
    const names = missingTables.map((table) => `watchdog.${table}`).join(", ");
    return [{ about, found: `the worker's tables are missing (${names})`, remedy }];
  }
  const columns = OWN_TABLES.flatMap((table) =>
    Object.values(getTableColumns(table)).map(({ name }) => `${getTableName(table)}.${name}`),
  );
  const missing = columns.filter((column) => !columnsThere.includes(column));
  if (missing.length === 0) return [];
  const names = missing.map((column) => `watchdog.${column}`).join(", ");
  const found = `the worker's tables are older than this version (${names} missing)`;
  return [{ about, found, remedy }];
}
