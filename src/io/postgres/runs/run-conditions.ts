import { type AnyColumn, and, eq, ne, type SQL, sql } from "drizzle-orm";
import { automationRuns as runs } from "../host-tables.ts";
import { suspicions, verdicts } from "../schema.ts";
import { hole, instantHole, millisHole, textHole } from "../sql.ts";

/**
 * Conditions on runs and on what is remembered of them, which several statements share. Across the two tables they are
 * selects of their own: planned as a join, a page that does not fill up reads or sorts all runs there are.
 */

/** A select of its own, so that the text is read once and not for every row. */
export const horizon = sql<string>`(SELECT ${instantHole("horizon")})`;
export const began = sql`coalesce(${runs.startedAt}, ${runs.createdAt})`;
const nullDeadlineAfter = millisHole("nullDeadlineAfterMs");

/** A run without a deadline gets one from its beginning. */
export const deadline = sql`coalesce(${runs.timeoutAt}, ${began} + ${nullDeadlineAfter})`;

export const isRunning = eq(runs.status, "RUNNING");

/** Joins a run with the row about it. */
export const ofRun = sql`${suspicions.runId} = ${runs.id}`;

/** On a joined row: whatever was said of another attempt, sandbox or command does not count. */
const isAboutThis = sql`(${suspicions.sandboxId} IS NOT DISTINCT FROM ${runs.sandboxId}
  AND ${suspicions.bashCommandId} IS NOT DISTINCT FROM ${runs.bashCommandId}
  AND ${suspicions.beganAt} IS NOT DISTINCT FROM ${began})`;

/** Joins a run with what counts of it. */
export const remembered = sql`${ofRun} AND ${isAboutThis}`;

/** On a joined row: a column as far as it counts. */
export function counted<T>(column: AnyColumn<{ data: T }>): SQL<T | null> {
  return sql<T | null>`CASE WHEN ${isAboutThis} THEN ${column} END`;
}

/** On a joined row: the run's deadline is the shield that we set, so that our own look counts instead. */
export const isShielded = sql<boolean>`coalesce(${suspicions.shieldAt} = ${runs.timeoutAt}
  AND ${suspicions.lookAt} IS NOT NULL, false)`;

/** On a joined row: when a run is to be taken up. */
export const dueAt = sql`CASE WHEN ${isShielded} THEN ${suspicions.lookAt} ELSE ${deadline} END`;

/** The same on a run by itself. */
export const dueAtOf = sql`coalesce(
  (SELECT ${suspicions.lookAt} FROM ${suspicions} WHERE ${ofRun} AND ${isShielded}), ${deadline})`;

/** On a joined row. */
export const isDue = sql<boolean>`${dueAt} < ${horizon}`;

/** On a joined row: the run failed to be handled a short while ago. */
export const isWaiting = sql`coalesce(${suspicions.errorRetryAt} > ${horizon} AND ${isAboutThis}, false)`;

export const includesSuspected = sql`${hole("includeSuspected")}::boolean`;

/**
 * Whoever asks for suspected runs gets them whatever was changed since.
 *
 * @param due `dueAt` on a joined row, else `dueAtOf`.
 */
export function isStale(due: SQL): SQL<boolean> {
  return sql<boolean>`${isRunning} AND (${due} < ${horizon} OR ${includesSuspected}
    AND EXISTS (SELECT FROM ${suspicions} WHERE ${suspicions.runId} = ${runs.id}))`;
}

/** On a row by itself: what is so of its run. */
export function ofItsRun(condition: SQL): SQL {
  return sql`(SELECT ${condition} FROM ${runs} WHERE ${ofRun} AND ${isRunning})`;
}

export const isSuspected = sql`(${suspicions.presumedTimes} > 0 AND ${isAboutThis})`;

/** What this sweep noted itself is not to be met by it again. */
export const isSuspectedBefore = sql`(${isSuspected} AND ${suspicions.notedAt} < ${horizon})`;

/** On the journal: it also holds sandboxes that were taken over from the host. */
export const isOurVerdict = ne(verdicts.basis, "host");

/** What a write repeats of what its verdict was based on. */
export function guard(): SQL | undefined {
  return and(
    eq(runs.id, hole("id")),
    isRunning,
    sql`${runs.timeoutAt} IS NOT DISTINCT FROM ${instantHole("timeoutAt")}`,
    sql`${runs.sandboxId} IS NOT DISTINCT FROM ${textHole("sandboxId")}`,
    sql`${runs.bashCommandId} IS NOT DISTINCT FROM ${textHole("bashCommandId")}`,
    // The same row may be about another attempt by now.
    sql`${began} IS NOT DISTINCT FROM ${instantHole("beganAt")}`,
  );
}
