import { and, eq, notExists, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { automationRuns as runs } from "../host-tables.ts";
import { suspicions, verdicts } from "../schema.ts";
import { hole, millisHole, ourEpoch, textHole } from "../sql.ts";
import {
  began,
  deadline,
  dueAtOf,
  horizon,
  isOurVerdict,
  isRunning,
  isStale,
} from "./run-conditions.ts";
import {
  inserted,
  kept,
  lockedSuspicion,
  lookAndShield,
  newRow,
  unlessChanged,
} from "./suspicion-row.ts";

/** What a sweep notes beside its verdicts. Where somebody else is writing the same rows, they are left to them. */

export function buildDeferSkipped(db: Db) {
  const ids = sql`${textHole("ids")}::uuid[]`;
  const target = db.$with("target").as(
    db
      .select({
        id: runs.id,
        firstDeadlineAt: sql`${deadline}`.as("first_deadline_at"),
        dueAt: sql`${dueAtOf}`.as("due_at"),
      })
      .from(runs)
      .where(and(sql`${runs.id} = ANY(${ids})`, isStale(dueAtOf), ourEpoch(hole("epoch"))))
      .for("no key update", { skipLocked: true }),
  );
  const suspicion = db
    .$with("suspicion")
    .as(
      db
        .select({ runId: suspicions.runId, shieldAt: suspicions.shieldAt })
        .from(suspicions)
        .where(sql`${suspicions.runId} = ANY(${ids})`)
        .for("update", { noWait: true }),
    );
  const place = sql`row_number() OVER (ORDER BY ${target.dueAt}, ${target.id})`;
  const inOrder = db.$with("in_order").as(
    db
      .select({
        id: target.id,
        firstDeadlineAt: target.firstDeadlineAt,
        lookAt: sql`${horizon} + ${millisHole("deferMs")} + ${place} * interval '1 microsecond'`.as(
          "look_at",
        ),
      })
      .from(target),
  );
  const shieldAt = sql`${inOrder.lookAt} + ${millisHole("shieldMs")}`;
  const deferred = db.$with("deferred").as(
    db
      .update(runs)
      .set({ timeoutAt: sql`greatest(${runs.timeoutAt}, ${shieldAt})` })
      .from(inOrder)
      .leftJoin(suspicion, eq(suspicion.runId, inOrder.id))
      .where(eq(runs.id, inOrder.id))
      .returning({
        id: runs.id,
        sandboxId: runs.sandboxId,
        bashCommandId: runs.bashCommandId,
        beganAt: sql`${began}`.as("began_at"),
        timeoutAt: runs.timeoutAt,
        firstDeadlineAt: inOrder.firstDeadlineAt,
        lookAt: inOrder.lookAt,
        shieldAt: shieldAt.as("shield_at"),
        shieldBefore: sql`${suspicion.shieldAt}`.as("shield_before"),
      }),
  );
  const row = newRow(deferred, deferred.firstDeadlineAt, lookAndShield(deferred));
  const { lookAt, shieldAt: shield } = suspicions;
  return db
    .with(target, suspicion, inOrder, deferred)
    .insert(suspicions)
    .select(db.select(row).from(deferred).getSQL())
    .onConflictDoUpdate({
      target: suspicions.runId,
      set: { ...kept(), lookAt: inserted(lookAt), shieldAt: inserted(shield) },
    })
    .prepare("watchdog_defer_skipped");
}

/** Reads the run and locks only what is remembered of it. */
export function buildNoteError(db: Db) {
  const suspicion = lockedSuspicion(db);
  const { errorTimes, errorCause, errorRetryAt } = suspicions;
  const row = newRow({ ...runs, beganAt: began }, sql`coalesce(${runs.timeoutAt}, now())`, {
    errorTimes: sql`1`,
    errorCause: textHole("cause"),
    errorRetryAt: sql`now() + ${millisHole("retryInMs")}`,
  });
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
  const forgotten = db.$with("forgotten").as(
    db
      .delete(suspicions)
      .where(sql`${suspicions.runId} IN (SELECT ${orphan.runId} FROM ${orphan})`)
      .returning({
        runId: suspicions.runId,
        wasSuspected:
          sql<boolean>`(${suspicions.presumedTimes} > 0 OR ${suspicions.heldSince} IS NOT NULL)`.as(
            "was_suspected",
          ),
      }),
  );
  // Our own verdict takes what was suspected with it: what is left here was ended by somebody else.
  return db
    .with(orphan, forgotten)
    .select({ count: sql<string>`count(*)` })
    .from(forgotten)
    .innerJoin(runs, eq(runs.id, forgotten.runId))
    .where(
      and(
        sql`${forgotten.wasSuspected} AND ${runs.status} = 'FAILED'`,
        sql`${runs.errorDetail} LIKE 'Timed out: %'`,
        notExists(
          db
            .select({ id: verdicts.id })
            .from(verdicts)
            .where(and(eq(verdicts.runId, forgotten.runId), isOurVerdict)),
        ),
      ),
    )
    .prepare("watchdog_drop_suspicions");
}
