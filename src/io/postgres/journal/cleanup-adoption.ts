import {
  and,
  asc,
  eq,
  exists,
  gt,
  lte,
  ne,
  notExists,
  or,
  type SQL,
  type SQLWrapper,
  sql,
} from "drizzle-orm";
import type { CleanupPlan } from "../../../rules/cleanup/cleanup-plan.ts";
import type { Db } from "../connection/session.ts";
import { automations, type HostColumns, automationRuns as runs } from "../host-tables.ts";
import { verdictEntry, verdicts, watchdog } from "../schema.ts";
import { ourEpoch } from "../sql.ts";
import { hasEnded, isKept, presumedDead } from "./ended-runs.ts";
import { claimedFrom } from "./host-stamps.ts";

/** Sandboxes that no verdict of ours has scheduled for deletion when it was written. */

const LATE_WITHIN = "1 hour";
/** By then the host's own watchdog would have deleted it, if it were at work. */
const OVERDUE_AFTER = "5 minutes";

const BY_HOST = sql`'host'`;

/** The journal without its identity column: drizzle's insert-select lists every column of the table it is given. */
const newVerdicts = watchdog.table("verdicts", verdictEntry);

/** The dispatcher names a sandbox when its command has begun, also after a verdict. */
export function adoptLateStatement(db: Db, host: HostColumns, plan: CleanupPlan, epoch: number) {
  const { cleanupInMs, deletionInMs } = plan;
  const named = db
    .select({
      id: verdicts.id,
      runId: verdicts.runId,
      sandboxId: sql<string>`${runs.sandboxId}`.as("named"),
    })
    .from(verdicts)
    .innerJoin(runs, eq(runs.id, verdicts.runId))
    .leftJoin(automations, eq(automations.id, runs.automationId))
    .where(
      and(
        eq(verdicts.basis, "presumption"),
        gt(verdicts.decidedAt, sql`now() - ${LATE_WITHIN}::interval`),
        eq(verdicts.cleanupState, "none"),
        sql`coalesce(${verdicts.sandboxId}, '') = ''`,
        ne(runs.sandboxId, ""),
        presumedDead(),
        sql`NOT ${isKept(host)}`,
        ourEpoch(epoch),
      ),
    );
  if (!host.sandboxCleanupDueAt || deletionInMs === null) {
    const late = db.$with("late").as(named);
    const dueAt = inMs(deletionInMs ?? cleanupInMs);
    return db
      .with(late)
      .update(verdicts)
      .set({ ...adopted(late.sandboxId), cleanupNextAt: dueAt, cleanupDueAt: dueAt })
      .from(late)
      .where(isStillOpen(late.id))
      .returning({ id: verdicts.id });
  }
  const late = db.$with("late").as(named.for("no key update", { of: runs, skipLocked: true }));
  const stamped = db.$with("stamped").as(
    db
      .update(runs)
      .set({ sandboxCleanupDueAt: inMs(deletionInMs) })
      .from(late)
      .where(eq(runs.id, late.runId))
      .returning({ runId: runs.id, stampAt: runs.sandboxCleanupDueAt }),
  );
  return db
    .with(late, stamped)
    .update(verdicts)
    .set({
      ...adopted(late.sandboxId),
      cleanupNextAt: inMs(cleanupInMs),
      cleanupDueAt: inMs(deletionInMs),
      cleanupStampAt: sql`${stamped.stampAt}`,
    })
    .from(late)
    .leftJoin(stamped, eq(stamped.runId, late.runId))
    .where(isStillOpen(late.id))
    .returning({ id: verdicts.id });
}

function adopted(sandboxId: SQLWrapper) {
  return { sandboxId: sql`${sandboxId}`, cleanupState: "pending" } as const;
}

/** Somebody else may be adopting it as well. */
function isStillOpen(id: SQLWrapper): SQL | undefined {
  return and(sql`${verdicts.id} = ${id}`, eq(verdicts.cleanupState, "none"));
}

/**
 * A deletion that the host stamped becomes a row of the journal, which is no verdict of ours, and the stamp ours. One of
 * our own that could not be taken away when its deletion was settled is only taken away.
 *
 * @param limit keeps the statement short; the rest comes with the next one.
 */
export function adoptStampsStatement(db: Db, host: HostColumns, limit: number, epoch: number) {
  const ofTheRun = (condition: SQL) =>
    db
      .select({ id: verdicts.id })
      .from(verdicts)
      .where(and(eq(verdicts.runId, runs.id), condition));
  const wasOurs = exists(ofTheRun(sql`${verdicts.cleanupStampAt} = ${runs.sandboxCleanupDueAt}`));
  const overdue = db.$with("overdue").as(
    db
      .select({
        runId: runs.id,
        automationId: runs.automationId,
        userId: automations.userId,
        orgId: automations.orgId,
        status: runs.status,
        sandboxId: runs.sandboxId,
        wasOurs: sql<boolean>`${wasOurs}`.as("was_ours"),
      })
      .from(runs)
      .leftJoin(automations, eq(automations.id, runs.automationId))
      .where(
        and(
          lte(runs.sandboxCleanupDueAt, sql`now() - ${OVERDUE_AFTER}::interval`),
          hasEnded(),
          notExists(ofTheRun(eq(verdicts.cleanupState, "pending"))),
          or(wasOurs, and(ne(runs.sandboxId, ""), sql`NOT ${isKept(host)}`)),
          ourEpoch(epoch),
        ),
      )
      .orderBy(asc(runs.sandboxCleanupDueAt))
      .limit(limit)
      .for("no key update", { of: runs, skipLocked: true }),
  );
  const stamped = db.$with("stamped").as(
    db
      .update(runs)
      .set({
        sandboxCleanupDueAt: sql`CASE WHEN NOT ${overdue.wasOurs} THEN ${claimedFrom(0)} END`,
      })
      .from(overdue)
      .where(eq(runs.id, overdue.runId))
      .returning({
        runId: runs.id,
        automationId: runs.automationId,
        userId: sql`${overdue.userId}`.as("user_id"),
        orgId: sql`${overdue.orgId}`.as("org_id"),
        status: runs.status,
        sandboxId: runs.sandboxId,
        stampAt: runs.sandboxCleanupDueAt,
      }),
  );
  const entry = db
    .select({
      runId: stamped.runId,
      automationId: stamped.automationId,
      userId: stamped.userId,
      orgId: stamped.orgId,
      epoch: sql`${epoch}::bigint`.as("epoch"),
      holder: BY_HOST.as("holder"),
      trigger: BY_HOST.as("trigger"),
      decidedAt: sql`now()`.as("decided_at"),
      outcome: sql`${stamped.status}`.as("outcome"),
      basis: BY_HOST.as("basis"),
      reason: sql`'sandbox_cleanup_due_at'`.as("reason"),
      evidence: sql`'{}'::jsonb`.as("evidence"),
      sandboxId: stamped.sandboxId,
      cleanupState: sql`'pending'`.as("cleanup_state"),
      cleanupNextAt: sql`now()`.as("cleanup_next_at"),
      cleanupDueAt: sql`NULL::timestamptz`.as("cleanup_due_at"),
      cleanupStampAt: stamped.stampAt,
      firstRunState: sql`'none'`.as("first_run_state"),
      overrideReason: sql`NULL::text`.as("override_reason"),
    })
    .from(stamped)
    .where(sql`${stamped.stampAt} IS NOT NULL`);
  return db
    .with(overdue, stamped)
    .insert(newVerdicts)
    .select(entry.getSQL())
    .returning({ runId: newVerdicts.runId });
}

function inMs(ms: number): SQL {
  return sql`now() + ${ms}::float8 * interval '1 millisecond'`;
}
