import { type Column, eq, getTableColumns, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { suspicions } from "../schema.ts";
import { hole } from "../sql.ts";

/** How a row of what is remembered of a run comes into being, and what becomes of one that is there already. */

interface RunColumns {
  readonly id: SQLWrapper;
  readonly sandboxId: SQLWrapper;
  readonly bashCommandId: SQLWrapper;
  readonly beganAt: SQLWrapper;
}

type Row = Readonly<Record<keyof ReturnType<typeof getTableColumns<typeof suspicions>>, SQL>>;

/** An insert-select goes by the places of columns, so the values are put into the order of the table. */
export function newRow(
  run: RunColumns,
  firstDeadlineAt: SQLWrapper,
  values: Partial<Row> = {},
): Record<string, SQL> {
  const row: Row = {
    runId: sql`${run.id}`,
    sandboxId: sql`${run.sandboxId}`,
    bashCommandId: sql`${run.bashCommandId}`,
    beganAt: sql`${run.beganAt}`,
    firstDeadlineAt: sql`${firstDeadlineAt}`,
    notedAt: sql`now()`,
    presumedTimes: sql`0`,
    presumedReason: NULL_TEXT,
    presumedLastAt: NULL_INSTANT,
    unknownTimes: sql`0`,
    unknownSince: NULL_INSTANT,
    errorTimes: sql`0`,
    errorCause: NULL_TEXT,
    errorRetryAt: NULL_INSTANT,
    heldSince: NULL_INSTANT,
    lookAt: NULL_INSTANT,
    shieldAt: NULL_INSTANT,
    ...values,
  };
  return Object.fromEntries(
    Object.keys(getTableColumns(suspicions)).map((key) => [key, row[key as keyof Row]]),
  );
}

/**
 * The row of one run, locked or refused at once: waiting for another worker's note would mean waiting with the run's row
 * locked. Only an insert under way cannot be seen; waiting for that one takes as long as a statement of our own.
 */
export function lockedSuspicion(db: Db) {
  return db.$with("suspicion").as(
    db
      .select({ runId: suspicions.runId, shieldAt: suspicions.shieldAt })
      .from(suspicions)
      .where(eq(suspicions.runId, hole("id")))
      .for("update", { noWait: true }),
  );
}

interface ShieldedRun {
  /** As the row has it now. */
  readonly timeoutAt: SQLWrapper;
  /** As it was asked for; a deadline that lies later stays, and is the host's unless it was ours before. */
  readonly shieldAt: SQLWrapper;
  readonly lookAt: SQLWrapper;
  /** The shield that an earlier sweep has set. */
  readonly shieldBefore: SQLWrapper;
}

/** Our own look counts only while the run's deadline is ours. */
export function lookAndShield(run: ShieldedRun): Pick<Row, "lookAt" | "shieldAt"> {
  const isOurs = sql`${run.timeoutAt} IN (${run.shieldAt}, ${run.shieldBefore})`;
  return {
    lookAt: sql`CASE WHEN ${isOurs} THEN ${run.lookAt} END`,
    shieldAt: sql`CASE WHEN ${isOurs} THEN ${run.timeoutAt} END`,
  };
}

const NULL_TEXT = sql`NULL::text`;
const NULL_INSTANT = sql`NULL::timestamptz`;

export function nowIf(condition: SQL): SQL {
  return sql`CASE WHEN ${condition} THEN now() END`;
}

/** The row that is there gives way to the new one. */
export function replaced() {
  return eachColumn(inserted);
}

/** The row that is there stays, unless it was about another attempt, sandbox or command. */
export function kept() {
  return { ...eachColumn((column) => unlessChanged(column, sql`${column}`)), notedAt: NOTED_AT };
}

/** What the insert would have written to the column. */
export function inserted(column: Column): SQL {
  return sql`excluded.${sql.identifier(column.name)}`;
}

/** @param value what becomes of the column while it is about the same attempt, sandbox and command. */
export function unlessChanged(column: Column, value: SQL): SQL {
  return sql`CASE WHEN ${IS_SAME} THEN ${value} ELSE ${inserted(column)} END`;
}

/** The earliest of the times since which something is so without a break; not being so now ends it. */
export function earliest(column: Column): SQL {
  const oldest = sql`coalesce(${column}, ${inserted(column)})`;
  return sql`CASE WHEN ${inserted(column)} IS NOT NULL THEN ${unlessChanged(column, oldest)} END`;
}

const NOTED_AT = inserted(suspicions.notedAt);
const IS_SAME = sql`${suspicions.sandboxId} IS NOT DISTINCT FROM ${inserted(suspicions.sandboxId)}
  AND ${suspicions.bashCommandId} IS NOT DISTINCT FROM ${inserted(suspicions.bashCommandId)}
  AND ${suspicions.beganAt} IS NOT DISTINCT FROM ${inserted(suspicions.beganAt)}`;

function eachColumn(value: (column: Column) => SQL): Record<string, SQL> {
  const { runId: _, ...columns } = getTableColumns(suspicions);
  return Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, value(column)]));
}
