import { type Placeholder, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { PRESUMED_PREFIX } from "../../rules/wording.ts";
import { leadership } from "./schema.ts";

/** The fence of a write: no newer epoch has been handed out. Its statement has the parameter `epoch`. */
export const FENCE = "(SELECT epoch FROM watchdog.leadership) = :epoch::bigint";

export interface Fenced {
  readonly epoch: number;
}

/** The database's clock as ISO 8601 in UTC with microseconds, as the host writes its own timestamps. */
export const ISO_NOW = `to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')`;

/** A pattern for LIKE: what the host's `error_detail` says of a run that was presumed dead. */
export const PRESUMED_DEAD = `'${PRESUMED_PREFIX}%'`;

/** No row's id; every other comes after it. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** A named hole of a prepared statement. */
export function hole(name: string): Placeholder {
  return sql.placeholder(name);
}

/** Text that becomes a timestamptz inside Postgres: a plain `::timestamptz` hole would go through Date in postgres.js. */
export function instantHole(name: string): SQL<string> {
  return sql<string>`${hole(name)}::text::timestamptz`;
}

/** An instant as text that Postgres reads back exactly: a cast would print it by the session's DateStyle. */
export function instantText<T extends string | null>(value: SQLWrapper): SQL<T> {
  return sql<T>`to_json(${value}) #>> '{}'`;
}

/** Milliseconds that become an interval. */
export function millisHole(name: string): SQL {
  return sql`${hole(name)}::float8 * interval '1 millisecond'`;
}

/** Milliseconds since an instant, by the database's clock, as text. */
export function millisSince(instant: SQLWrapper): SQL<string | null> {
  return sql<string | null>`extract(epoch FROM now() - ${instant}) * 1000`;
}

/** A duration as Postgres prints it; a clock that was set back does not make it negative. */
export function toMillis(ms: string | number | null): number | null {
  return ms === null ? null : Math.max(0, Math.trunc(Number(ms)));
}

/** Text that becomes json without passing jsonb, which refuses \u0000. */
export function jsonHole(name: string): SQL {
  return sql`${hole(name)}::text::json`;
}

/** A literal of the statement; the hole's type is given by the cast. */
export function textHole(name: string): SQL<string> {
  return sql<string>`${hole(name)}::text`;
}

/** The database's clock as ISO 8601 in UTC with microseconds, as the host writes its own timestamps. */
export const isoNow = sql<string>`to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')`;

/** The fence: true while no newer epoch has been handed out. */
export function ourEpoch(epoch: number | Placeholder): SQL<boolean> {
  return sql<boolean>`(SELECT ${leadership.epoch} FROM ${leadership}) = ${epoch}::bigint`;
}
