import type { ClockReading } from "../clock-skew.ts";
import { type Check, failure, ok, warning } from "./check.ts";
import { checkClock } from "./clock.ts";
import { quotedIdentifier } from "./privileges.ts";

export interface ServerFacts {
  /** `18.4` */
  readonly version: string;
  readonly user: string;
  /** A replica, or a role or database that is read-only by default. */
  readonly isReadOnly: boolean;
  readonly isPooled: boolean;
  readonly clock: ClockReading;
}

interface SchemaProblem {
  readonly about: "version" | "own tables" | "host tables" | "privileges";
  readonly found: string;
  readonly remedy: string | null;
  readonly grants?: readonly string[];
}

/** As `io/postgres/host-schema.ts` finds it. */
export interface SchemaState {
  readonly problems: readonly SchemaProblem[];
  readonly found: {
    readonly columns: Readonly<object>;
    readonly warnings: readonly string[];
    readonly scanAdvice: string | null;
    /** False where our own tables cannot be read, which only an observer can do without. */
    readonly remembers: boolean;
  };
  /** `null` when the role may not read which ones were applied. */
  readonly missingMigrations: readonly string[] | null;
}

export const POSTGRES = "postgres";

/** Server, pooler and clock: what holds whatever the tables are. */
export function checkServer(server: ServerFacts, pooler: "auto" | "on" | "off"): readonly Check[] {
  const who = `PostgreSQL ${server.version} answers as user ${server.user}`;
  return [
    server.isReadOnly
      ? failure(
          POSTGRES,
          `${who}, but takes no writes`,
          "let DATABASE_URL or AUTOMATION_DB_* lead to the primary, and reset default_transaction_read_only of the user",
        )
      : ok(POSTGRES, who),
    checkPooler(server.isPooled, pooler),
    checkClock("postgres clock", "Postgres", server.clock),
  ];
}

function checkPooler(isPooled: boolean, setting: "auto" | "on" | "off"): Check {
  if (!isPooled) return ok("pooler", "none that refuses start-up parameters");
  if (setting === "on") return ok("pooler", "treated as a transaction pooler, as set");
  return warning(
    "pooler",
    "a transaction pooler stands before Postgres, and that is found out anew with every start",
    "set WATCHDOG_DB_POOLER=on",
  );
}

/** @param user whose privileges these are. */
export function checkSchema(
  { problems, found, missingMigrations }: SchemaState,
  user: string,
): readonly Check[] {
  const failures = (about: SchemaProblem["about"]) =>
    problems.filter((problem) => problem.about === about).map((each) => toFailure(each, user));
  const version = failures("version");
  const host = failures("host tables");
  const own = failures("own tables");
  const privileges = failures("privileges");
  return [
    ...version,
    ...(host.length > 0 ? host : [ok("host tables", hostColumns(found.columns))]),
    // The missing index is the business of the statement that needs it.
    ...found.warnings
      .filter((text) => text !== found.scanAdvice)
      .map((text) => warning("schema", text)),
    ...(own.length > 0 ? own : [checkMigrations(found.remembers, missingMigrations, user)]),
    ...(privileges.length > 0
      ? privileges
      : [ok("privileges", `user ${user} has all that is needed`)]),
  ];
}

function toFailure({ about, found, remedy, grants }: SchemaProblem, user: string): Check {
  if (grants !== undefined) {
    const found = `user ${user} lacks privileges that the worker needs`;
    return failure(about, found, ...grantsInSql(grants, user));
  }
  const link = about === "version" ? "postgres version" : about;
  return failure(link, found, ...(remedy === null ? [] : [remedy]));
}

/** One statement per object. */
function grantsInSql(grants: readonly string[], user: string): readonly string[] {
  const byObject = Map.groupBy(grants, (grant) =>
    grant.slice(grant.indexOf(" on ") + " on ".length),
  );
  return [...byObject].map(([object, all]) => {
    const privileges = all.map((grant) => grant.slice(0, grant.indexOf(" on ")));
    return `GRANT ${privileges.join(", ")} ON ${object} TO ${quotedIdentifier(user)};`;
  });
}

function hostColumns(columns: Readonly<object>): string {
  const lacking = Object.entries(columns).flatMap(([name, usable]) =>
    usable ? [] : [inSql(name)],
  );
  const all = "automations and automation_runs have what is needed";
  return lacking.length === 0 ? all : `${all}; does without the optional ${lacking.join(", ")}`;
}

function inSql(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** An index may be missing where every column is there. */
function checkMigrations(
  remembers: boolean,
  missing: SchemaState["missingMigrations"],
  user: string,
): Check {
  const link = "own tables";
  if (!remembers) return ok(link, "cannot be read, and are not needed to observe");
  if (missing === null) {
    return warning(
      link,
      "all columns are there; which migrations were applied may not be read",
      `to have that checked: GRANT SELECT ON watchdog.migrations TO ${quotedIdentifier(user)};`,
    );
  }
  if (missing.length === 0) return ok(link, "up to date");
  const found = `migrations are missing: ${missing.join(", ")}`;
  return failure(link, found, "run `run-watchdog migrate`");
}
