import { type Column, eq, getTableColumns, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { suspicions } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole } from "./sql.ts";

/** How a row of what is remembered of a run comes into being, and what becomes of one that is there already. */

interface RunColumns {
  readonly id: SQLWrapper;
  readonly sandboxId: SQLWrapper;
  readonly bashCommandId: SQLWrapper;
}

/** In the order of the table's columns: an insert-select goes by their places. */
export function newRow(run: RunColumns, firstDeadlineAt: SQLWrapper) {
  return {
    runId: sql`${run.id}`,
    sandboxId: sql`${run.sandboxId}`,
    bashCommandId: sql`${run.bashCommandId}`,
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
    beganAt: NULL_INSTANT,
    lookAt: NULL_INSTANT,
    shieldAt: NULL_INSTANT,
  };
}

/**
 * The row of one run, locked or refused at once: waiting for another worker's note would mean waiting with the run's row
 * locked. Only an insert under way cannot be seen; waiting for that one takes as long as a statement of our own.
 */
export function lockedSuspicion(db: Db) {
  return db.$with("suspicion").as(
    db
      .select({ runId: suspicions.runId })
      .from(suspicions)
      .where(eq(suspicions.runId, hole("id")))
      .for("update", { noWait: true }),
  );
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

/** The row that is there stays, unless it was about another sandbox or command. */
export function kept() {
  return { ...eachColumn((column) => unlessChanged(column, sql`${column}`)), notedAt: NOTED_AT };
}

/** What the insert would have written to the column. */
export function inserted(column: Column): SQL {
  return sql`excluded.${sql.identifier(column.name)}`;
}

/** @param value what becomes of the column while the run has the same sandbox and command. */
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
  AND ${suspicions.bashCommandId} IS NOT DISTINCT FROM ${inserted(suspicions.bashCommandId)}`;

function eachColumn(value: (column: Column) => SQL): Record<string, SQL> {
  const { runId: _, ...columns } = getTableColumns(suspicions);
  return Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, value(column)]));
}
