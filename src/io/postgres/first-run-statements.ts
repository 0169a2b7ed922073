import { and, asc, eq, gt, sql } from "drizzle-orm";
import { automations } from "./host-tables.ts";
import { verdicts } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, isoNow, jsonHole, ourEpoch, textHole } from "./sql.ts";

/** One row per automation, its oldest open verdict, in the order of the automations' ids. */
export function openFirstRunsStatement(db: Db, afterAutomation: string | null, limit: number) {
  return db
    .selectDistinctOn([verdicts.automationId], {
      automationId: verdicts.automationId,
      outcome: verdicts.outcome,
      metadata: sql<string | null>`${automations.presetMetadata}::text`,
      readAt: isoNow,
    })
    .from(verdicts)
    .leftJoin(automations, eq(automations.id, verdicts.automationId))
    .where(
      and(
        eq(verdicts.firstRunState, "pending"),
        gt(verdicts.automationId, afterAutomation ?? NIL_UUID),
      ),
    )
    .orderBy(asc(verdicts.automationId), asc(verdicts.id))
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

/** `json` is compared and written as text: a cast to jsonb fails on \u0000. */
function recordStatement(db: Db, touch: boolean) {
  const target = db.$with("target").as(
    db
      .select({ id: automations.id })
      .from(automations)
      .where(
        and(
          eq(automations.id, hole("id")),
          sql`${automations.presetMetadata}::text = ${textHole("seen")}`,
          ourEpoch(hole("epoch")),
        ),
      )
      .for("no key update", { noWait: true }),
  );
  return db
    .with(target)
    .update(automations)
    .set({
      presetMetadata: jsonHole("metadata"),
      ...(touch ? { updatedAt: sql`now()` } : {}),
    })
    .from(target)
    .where(eq(automations.id, target.id))
    .returning({ id: automations.id });
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
