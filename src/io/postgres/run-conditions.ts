import { and, eq, type SQL, sql } from "drizzle-orm";
import { automationRuns as runs } from "./host-tables.ts";
import { suspicions } from "./schema.ts";
import { hole, instantHole, millisHole, textHole } from "./sql.ts";

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

export const isOverdue = sql<boolean>`coalesce(${runs.timeoutAt} < ${horizon},
  ${began} < ${horizon} - ${nullDeadlineAfter})`;

/** Joins a run with what counts of it: whatever was said of another sandbox or command does not. */
export const remembered = sql`${suspicions.runId} = ${runs.id}
  AND ${suspicions.sandboxId} IS NOT DISTINCT FROM ${runs.sandboxId}
  AND ${suspicions.bashCommandId} IS NOT DISTINCT FROM ${runs.bashCommandId}`;

/** On a joined suspicion: its run failed to be handled a short while ago. */
export const isWaiting = sql`coalesce(${suspicions.errorRetryAt} > ${horizon}, false)`;

export const includesSuspected = sql`${hole("includeSuspected")}::boolean`;

/** On a run by itself; whoever asks for suspected runs gets them whatever was changed since. */
export const isStale = sql<boolean>`${isRunning} AND (${isOverdue} OR ${includesSuspected}
  AND EXISTS (SELECT FROM ${suspicions} WHERE ${suspicions.runId} = ${runs.id}))`;

/** On a suspicion that still counts. */
export function ofItsRun(condition: SQL): SQL {
  return sql`(SELECT ${condition} FROM ${runs} WHERE ${remembered} AND ${isRunning})`;
}

/** What this sweep noted itself is not to be met by it again. */
export const isSuspectedBefore = sql`${suspicions.presumedTimes} > 0 AND ${suspicions.notedAt} < ${horizon}`;

/** What a write repeats of what its verdict was based on. */
export function guard(): SQL | undefined {
  return and(
    eq(runs.id, hole("id")),
    isRunning,
    sql`${runs.timeoutAt} IS NOT DISTINCT FROM ${instantHole("timeoutAt")}`,
    sql`${runs.sandboxId} IS NOT DISTINCT FROM ${textHole("sandboxId")}`,
    sql`${runs.bashCommandId} IS NOT DISTINCT FROM ${textHole("bashCommandId")}`,
  );
}
