/** What the worker's database user needs to have been granted: one list for whoever checks it and whoever prints it. */

export type Privilege = "SELECT" | "INSERT" | "UPDATE" | "DELETE";

export const EVERY_PRIVILEGE: readonly Privilege[] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/** On the tables of the schema `watchdog`. */
export const OWN_PRIVILEGES = {
  leadership: ["SELECT", "UPDATE"],
  shards: ["SELECT", "UPDATE"],
  suspicions: EVERY_PRIVILEGE,
  verdicts: EVERY_PRIVILEGE,
  /** To be listed by `status`. */
  workers: EVERY_PRIVILEGE,
  /** To pause and resume. */
  pauses: ["INSERT"],
  /** For `doctor` and `migrate --check`. */
  migrations: ["SELECT"],
} as const satisfies Readonly<Record<string, readonly Privilege[]>>;

/** The worker does without it: sandboxes are then deleted without being paused first. */
export const STAMP_COLUMN = "sandbox_cleanup_due_at";

/** On the host's tables: SELECT, and UPDATE of those of these columns that it has. */
export const HOST_UPDATES = {
  automation_runs: [
    "status",
    "error_detail",
    "completed_at",
    "timeout_at",
    "status_detail",
    STAMP_COLUMN,
  ],
  automations: ["preset_metadata", "updated_at"],
} as const;

/** What the database to be granted on is like. */
export interface GrantedPlace {
  /** As `table.column`. */
  readonly hostColumns: ReadonlySet<string>;
  /** What not everybody may use: databases with CONNECT, schemas with USAGE. */
  readonly closed: readonly { readonly kind: "DATABASE" | "SCHEMA"; readonly name: string }[];
}

/**
 * The statements that give a role what `run`, `once`, `pause` and every command that only reads need. Their order does
 * not matter, and what is granted already is left as it is.
 *
 * @param place `null` where it is not known: then with every column that a host may have.
 */
export function grantStatements(role: string, place: GrantedPlace | null): readonly string[] {
  const to = `TO ${quotedIdentifier(role)};`;
  const closed = (place?.closed ?? []).map(({ kind, name }) => {
    const privilege = kind === "DATABASE" ? "CONNECT" : "USAGE";
    return `GRANT ${privilege} ON ${kind} ${quotedIdentifier(name)} ${to}`;
  });
  const hostTables = Object.entries(HOST_UPDATES);
  const updates = hostTables.flatMap(([table, wanted]) => {
    const there = wanted.filter((column) => place?.hostColumns.has(`${table}.${column}`) ?? true);
    return there.length === 0 ? [] : [`GRANT UPDATE (${there.join(", ")}) ON ${table} ${to}`];
  });
  const own = Object.entries(OWN_PRIVILEGES).map(
    ([table, privileges]) => `GRANT ${privileges.join(", ")} ON watchdog.${table} ${to}`,
  );
  return [
    ...closed,
    `GRANT SELECT ON ${hostTables.map(([table]) => table).join(", ")} ${to}`,
    ...updates,
    `GRANT USAGE ON SCHEMA watchdog ${to}`,
    ...own,
  ];
}

/** Whatever is in the name, and also where it is a word of SQL's. */
export function quotedIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
