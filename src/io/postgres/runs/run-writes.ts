import { and, eq, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { type HostColumns, automationRuns as runs } from "../host-tables.ts";
import { suspicions, verdictEntry, watchdog } from "../schema.ts";
import { hole, instantHole, jsonHole, millisHole, ourEpoch, textHole } from "../sql.ts";
import { began, guard } from "./run-conditions.ts";
import {
  earliest,
  inserted,
  lockedSuspicion,
  lookAndShield,
  newRow,
  nowIf,
  replaced,
  unlessChanged,
} from "./suspicion-row.ts";

/** The guarded writes to one run. What they touch, its row and what is remembered of it, is locked or refused at once. */

/**
 * The row to write. A CTE with a locking clause is never inlined, so it runs exactly once
 * without being declared MATERIALIZED (which drizzle cannot express).
 */
function lockedTarget(db: Db) {
  return db.$with("target").as(
    db
      .select({ id: runs.id })
      .from(runs)
      .where(and(guard(), ourEpoch(hole("epoch"))))
      .for("no key update", { noWait: true }),
  );
}

export function buildApply(db: Db, host: HostColumns) {
  const target = lockedTarget(db);
  const suspicion = lockedSuspicion(db);
  const deletionAt = sql`now() + ${millisHole("deletionInMs")}`;
  const cleanupAt = sql`now() + ${millisHole("cleanupInMs")}`;
  const judged = db.$with("judged").as(
    db
      .update(runs)
      .set({
        status: sql`${textHole("status")}`,
        completedAt: sql`now()`,
        errorDetail: sql`coalesce(${textHole("errorDetail")}, ${runs.errorDetail})`,
        ...(host.statusDetail ? { statusDetail: jsonHole("statusDetail") } : {}),
        ...(host.sandboxCleanupDueAt
          ? { sandboxCleanupDueAt: sql`coalesce(${deletionAt}, ${runs.sandboxCleanupDueAt})` }
          : {}),
      })
      .from(target)
      .where(eq(runs.id, target.id))
      .returning({
        id: runs.id,
        sandboxId: runs.sandboxId,
        stampAt: host.sandboxCleanupDueAt ? runs.sandboxCleanupDueAt : NO_STAMP,
      }),
  );
  const forgotten = db
    .$with("forgotten")
    .as(
      db
        .delete(suspicions)
        .where(
          sql`${suspicions.runId} IN (SELECT ${judged.id} FROM ${judged} JOIN ${suspicion} ON true)`,
        )
        .returning({ runId: suspicions.runId }),
    );
  const entry = db
    .select({
      runId: judged.id,
      automationId: sql`${hole("automationId")}::uuid`.as("automation_id"),
      userId: sql`${hole("userId")}::uuid`.as("user_id"),
      orgId: sql`${hole("orgId")}::uuid`.as("org_id"),
      epoch: sql`${hole("epoch")}::bigint`.as("epoch"),
      holder: textHole("holder").as("holder"),
      trigger: textHole("trigger").as("trigger"),
      decidedAt: sql`now()`.as("decided_at"),
      outcome: textHole("status").as("outcome"),
      basis: textHole("basis").as("basis"),
      reason: textHole("reason").as("reason"),
      evidence: sql`${textHole("evidence")}::jsonb || ${WHAT_WAS_SUSPECTED}`.as("evidence"),
      sandboxId: judged.sandboxId,
      cleanupState: textHole("cleanupState").as("cleanup_state"),
      // A host that cannot be told keeps its sandbox untouched for as long.
      cleanupNextAt: (host.sandboxCleanupDueAt
        ? cleanupAt
        : sql`coalesce(${deletionAt}, ${cleanupAt})`
      ).as("cleanup_next_at"),
      cleanupDueAt: sql`nullif(coalesce(${deletionAt}, ${cleanupAt}), now())`.as("cleanup_due_at"),
      cleanupStampAt: sql`CASE WHEN ${deletionAt} IS NOT NULL THEN ${judged.stampAt} END`.as(
        "cleanup_stamp_at",
      ),
      firstRunState: textHole("firstRunState").as("first_run_state"),
      overrideReason: textHole("overrideReason").as("override_reason"),
    })
    .from(judged);
  return db
    .with(target, suspicion, judged, forgotten)
    .insert(newVerdicts)
    .select(entry.getSQL())
    .returning({ runId: newVerdicts.runId })
    .prepare("watchdog_apply");
}

const NO_STAMP = sql`NULL::timestamptz`.as("stamp_at");

/** The verdict removes the row, and whoever asks later how it came about needs it. */
const WHAT_WAS_SUSPECTED = sql`coalesce((
  SELECT jsonb_build_object('suspicion', jsonb_build_object(
    'first_deadline_at', ${suspicions.firstDeadlineAt},
    'presumed_times', ${suspicions.presumedTimes}, 'presumed_last_at', ${suspicions.presumedLastAt},
    'unknown_times', ${suspicions.unknownTimes}, 'unknown_since', ${suspicions.unknownSince},
    'held_since', ${suspicions.heldSince}))
  FROM ${suspicions}
  WHERE ${suspicions.runId} = ${hole("id")}::uuid
    AND ${suspicions.sandboxId} IS NOT DISTINCT FROM ${textHole("sandboxId")}
    AND ${suspicions.bashCommandId} IS NOT DISTINCT FROM ${textHole("bashCommandId")}
    AND ${suspicions.beganAt} IS NOT DISTINCT FROM ${instantHole("beganAt")}), '{}')`;

/** The journal without its identity column: drizzle's insert-select lists every column of the table it is given. */
export const newVerdicts = watchdog.table("verdicts", verdictEntry);

/**
 * Two points in time: our next look, and the deadline that hides the run from others until some time after it. A deadline
 * that lies later already stays.
 */
export function buildDefer(db: Db, host: HostColumns) {
  const target = lockedTarget(db);
  const suspicion = lockedSuspicion(db);
  const lookAt = sql`least(now() + ${millisHole("deferMs")},
    to_timestamp(${hole("notAfterMs")}::float8 / 1000))`;
  const shieldAt = sql`${lookAt} + ${millisHole("shieldMs")}`;
  const deferred = db.$with("deferred").as(
    db
      .update(runs)
      .set({
        timeoutAt: sql`greatest(${runs.timeoutAt}, ${shieldAt})`,
        ...(host.statusDetail
          ? { statusDetail: sql`coalesce(${jsonHole("statusDetail")}, ${runs.statusDetail})` }
          : {}),
      })
      .from(target)
      .leftJoin(suspicion, sql`true`)
      .where(eq(runs.id, target.id))
      .returning({
        id: runs.id,
        sandboxId: runs.sandboxId,
        bashCommandId: runs.bashCommandId,
        beganAt: sql`${began}`.as("began_at"),
        timeoutAt: runs.timeoutAt,
        lookAt: lookAt.as("look_at"),
        shieldAt: shieldAt.as("shield_at"),
        shieldBefore: sql`${suspicion.shieldAt}`.as("shield_before"),
      }),
  );
  const presumedTimes = sql`${hole("presumedTimes")}::int`;
  const unknownTimes = sql`${hole("unknownTimes")}::int`;
  // The guard compared the deadline with the row's. A run without one was found just now.
  const row = newRow(deferred, sql`coalesce(${instantHole("timeoutAt")}, now())`, {
    presumedTimes,
    presumedReason: textHole("presumedReason"),
    presumedLastAt: nowIf(sql`${hole("observed")}::boolean AND ${presumedTimes} > 0`),
    unknownTimes,
    unknownSince: nowIf(sql`${unknownTimes} > 0`),
    heldSince: nowIf(sql`${hole("held")}::boolean`),
    ...lookAndShield(deferred),
  });
  const { presumedLastAt } = suspicions;
  const lastObservation = sql`CASE WHEN ${inserted(suspicions.presumedTimes)} > 0
    THEN coalesce(${inserted(presumedLastAt)}, ${presumedLastAt}) END`;
  return db
    .with(target, suspicion, deferred)
    .insert(suspicions)
    .select(db.select(row).from(deferred).getSQL())
    .onConflictDoUpdate({
      target: suspicions.runId,
      set: {
        ...replaced(),
        firstDeadlineAt: earliest(suspicions.firstDeadlineAt),
        presumedLastAt: unlessChanged(presumedLastAt, lastObservation),
        unknownSince: earliest(suspicions.unknownSince),
        heldSince: earliest(suspicions.heldSince),
      },
    })
    .returning({ runId: suspicions.runId })
    .prepare("watchdog_defer");
}
