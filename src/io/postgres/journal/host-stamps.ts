import { and, eq, type SQL, type SQLWrapper, type Subquery, sql } from "drizzle-orm";
import { CLAIM_MS } from "../../../rules/cleanup/cleanup-retry.ts";
import type { Db } from "../connection/session.ts";
import { automationRuns as runs } from "../host-tables.ts";

/**
 * `sandbox_cleanup_due_at`, by which the host's own watchdog knows what to delete. It is the only column of a finished run
 * that we write, and only while it holds what we put there. A row that somebody else is writing is left alone.
 */

/** A stamp that is to become another one; `null` takes it away. */
interface StampChange {
  readonly runId: SQLWrapper;
  readonly stampAt: SQLWrapper;
  readonly stampTo: SQLWrapper;
}

/** @param change one of the statement's CTEs; rows whose two stamps are the same are not written. */
export function restamp<Change extends Subquery & StampChange>(db: Db, change: Change) {
  const held = db.$with("held").as(
    db
      .select({ runId: runs.id, stampTo: sql`${change.stampTo}`.as("new_stamp") })
      .from(runs)
      .innerJoin(sql`${change}`, sql`${runs.id} = ${change.runId}`)
      .where(
        and(
          sql`${runs.sandboxCleanupDueAt} = ${change.stampAt}`,
          sql`${change.stampTo} IS DISTINCT FROM ${change.stampAt}`,
        ),
      )
      .for("no key update", { of: runs, skipLocked: true }),
  );
  const stamped = db.$with("stamped").as(
    db
      .update(runs)
      .set({ sandboxCleanupDueAt: sql`${held.stampTo}` })
      .from(held)
      .where(eq(runs.id, held.runId))
      .returning({ runId: runs.id, stampAt: runs.sandboxCleanupDueAt }),
  );
  return { held, stamped };
}

/** The host's watchdog is to keep away for as long as a claim that begins in so many milliseconds. */
export function claimedFrom(inMs: number): SQL {
  return sql`now() + ${inMs + CLAIM_MS}::float8 * interval '1 millisecond'`;
}
