import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { automations, automationRuns as runs } from "../host-tables.ts";
import { verdicts } from "../schema.ts";
import { hole, isoNow, jsonHole, ourEpoch, textHole } from "../sql.ts";
import { presumedDead } from "./ended-runs.ts";

/**
 * One row per automation, its oldest open verdict, in the order of the automations' ids; none where that is a presumption
 * which may still be overturned.
 */
export function openFirstRunsStatement(
  db: Db,
  afterAutomation: string | null,
  limit: number,
  presumedForMs: number,
) {
  const oldest = db.$with("oldest").as(
    db
      .selectDistinctOn([verdicts.automationId], {
        automationId: verdicts.automationId,
        runId: verdicts.runId,
        basis: verdicts.basis,
        outcome: verdicts.outcome,
        decidedAt: verdicts.decidedAt,
      })
      .from(verdicts)
      .where(
        and(
          eq(verdicts.firstRunState, "pending"),
          gt(verdicts.automationId, afterAutomation ?? NIL_UUID),
        ),
      )
      .orderBy(asc(verdicts.automationId), asc(verdicts.id)),
  );
  return db
    .with(oldest)
    .select({
      automationId: oldest.automationId,
      runId: oldest.runId,
      basis: oldest.basis,
      outcome: oldest.outcome,
      metadata: sql<string | null>`${automations.presetMetadata}::text`,
      readAt: isoNow,
    })
    .from(oldest)
    .leftJoin(automations, eq(automations.id, oldest.automationId))
    .where(
      sql`${oldest.basis} = 'proof'
        OR ${oldest.decidedAt} <= now() - ${presumedForMs}::float8 * interval '1 millisecond'`,
    )
    .orderBy(asc(oldest.automationId))
    .limit(limit);
}

const NIL_UUID = "00000000-0000-0000-0000-000000000000";

export function buildRecordFirstRun(db: Db) {
  return recordStatement(db, false).prepare("watchdog_first_run");
}

/** For hosts that note when an automation was changed. */
export function buildRecordFirstRunAndTouch(db: Db) {
  return recordStatement(db, true).prepare("watchdog_first_run_touch");
}

/**
 * `json` is compared and written as text: a cast to jsonb fails on \u0000. A presumption is recorded only while nobody
 * is overturning it: the share lock refuses a callback that has written its run and has not committed yet.
 */
function recordStatement(db: Db, touch: boolean) {
  const presumed = db.$with("presumed").as(
    db
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.id, hole("runId")), presumedDead()))
      .for("share", { noWait: true }),
  );
  const target = db.$with("target").as(
    db
      .select({ id: automations.id })
      .from(automations)
      .where(
        and(
          eq(automations.id, hole("id")),
          sql`${automations.presetMetadata}::text = ${textHole("seen")}`,
          sql`(${textHole("basis")} = 'proof' OR EXISTS (SELECT FROM ${presumed}))`,
          ourEpoch(hole("epoch")),
        ),
      )
      .for("no key update", { noWait: true }),
  );
  return db
    .with(presumed, target)
    .update(automations)
    .set({
      presetMetadata: jsonHole("metadata"),
      ...(touch ? { updatedAt: sql`now()` } : {}),
    })
    .from(target)
    .where(eq(automations.id, target.id))
    .returning({ id: automations.id });
}

export function closeOverturnedStatement(db: Db, epoch: number) {
  return db
    .update(verdicts)
    .set({ firstRunState: "none" })
    .where(
      and(
        eq(verdicts.firstRunState, "pending"),
        eq(verdicts.basis, "presumption"),
        sql`NOT EXISTS (SELECT FROM ${runs} WHERE ${runs.id} = ${verdicts.runId} AND ${presumedDead()})`,
        ourEpoch(epoch),
      ),
    )
    .returning({ id: verdicts.id });
}

export function firstRunDoneStatement(db: Db, automationId: string, epoch: number) {
  return db
    .update(verdicts)
    .set({ firstRunState: "done" })
    .where(
      and(
        eq(verdicts.automationId, automationId),
        eq(verdicts.firstRunState, "pending"),
        ourEpoch(epoch),
      ),
    );
}
