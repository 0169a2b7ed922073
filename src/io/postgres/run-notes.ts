import { and, eq, sql } from "drizzle-orm";
import { automationRuns as runs } from "./host-tables.ts";
import { deadline, horizon, isRunning, isStale } from "./run-conditions.ts";
import { suspicions } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, millisHole, ourEpoch, textHole } from "./sql.ts";
import { inserted, kept, lockedSuspicion, newRow, unlessChanged } from "./suspicion-row.ts";

/** What a sweep notes beside its verdicts. Where somebody else is writing the same rows, they are left to them. */

export function buildDeferUnasked(db: Db) {
  const ids = sql`${textHole("ids")}::uuid[]`;
  const target = db.$with("target").as(
    db
      .select({ id: runs.id, firstDeadlineAt: sql`${deadline}`.as("first_deadline_at") })
      .from(runs)
      .where(and(sql`${runs.id} = ANY(${ids})`, isStale, ourEpoch(hole("epoch"))))
      .for("no key update", { skipLocked: true }),
  );
  const suspicion = db
    .$with("suspicion")
    .as(
      db
        .select({ runId: suspicions.runId })
        .from(suspicions)
        .where(sql`${suspicions.runId} = ANY(${ids})`)
        .for("update", { noWait: true }),
    );
  const place = sql`row_number() OVER (ORDER BY ${target.firstDeadlineAt}, ${target.id})`;
  const inOrder = db.$with("in_order").as(
    db
      .select({
        id: target.id,
        firstDeadlineAt: target.firstDeadlineAt,
        againAt:
          sql`${horizon} + ${millisHole("deferMs")} + ${place} * interval '1 microsecond'`.as(
            "again_at",
          ),
      })
      .from(target),
  );
  const deferred = db.$with("deferred").as(
    db
      .update(runs)
      // A suspected run may have more time than that already.
      .set({ timeoutAt: sql`greatest(${runs.timeoutAt}, ${inOrder.againAt})` })
      .from(inOrder)
      .leftJoin(suspicion, eq(suspicion.runId, inOrder.id))
      .where(eq(runs.id, inOrder.id))
      .returning({
        id: runs.id,
        sandboxId: runs.sandboxId,
        bashCommandId: runs.bashCommandId,
        firstDeadlineAt: inOrder.firstDeadlineAt,
      }),
  );
  return db
    .with(target, suspicion, inOrder, deferred)
    .insert(suspicions)
    .select(db.select(newRow(deferred, deferred.firstDeadlineAt)).from(deferred).getSQL())
    .onConflictDoUpdate({ target: suspicions.runId, set: kept() })
    .prepare("watchdog_defer_unasked");
}

/** Reads the run and locks only what is remembered of it. */
export function buildNoteError(db: Db) {
  const suspicion = lockedSuspicion(db);
  const { errorTimes, errorCause, errorRetryAt } = suspicions;
  const row = {
    ...newRow(runs, sql`coalesce(${runs.timeoutAt}, now())`),
    errorTimes: sql`1`,
    errorCause: textHole("cause"),
    errorRetryAt: sql`now() + ${millisHole("retryInMs")}`,
  };
  const found = db
    .select(row)
    .from(runs)
    .leftJoin(suspicion, sql`true`)
    .where(and(eq(runs.id, hole("id")), isRunning, ourEpoch(hole("epoch"))));
  return db
    .with(suspicion)
    .insert(suspicions)
    .select(found.getSQL())
    .onConflictDoUpdate({
      target: suspicions.runId,
      set: {
        ...kept(),
        errorTimes: unlessChanged(errorTimes, sql`${errorTimes} + 1`),
        errorCause: inserted(errorCause),
        errorRetryAt: inserted(errorRetryAt),
      },
    })
    .prepare("watchdog_note_error");
}

export function buildDropSuspicions(db: Db) {
  const orphan = db.$with("orphan").as(
    db
      .select({ runId: suspicions.runId })
      .from(suspicions)
      .where(
        and(
          sql`(SELECT ${isRunning} FROM ${runs} WHERE ${runs.id} = ${suspicions.runId}) IS NOT TRUE`,
          ourEpoch(hole("epoch")),
        ),
      )
      .for("update", { skipLocked: true }),
  );
  return db
    .with(orphan)
    .delete(suspicions)
    .where(sql`${suspicions.runId} IN (SELECT ${orphan.runId} FROM ${orphan})`)
    .prepare("watchdog_drop_suspicions");
}
