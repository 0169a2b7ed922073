import { type Column, type SQL, sql } from "drizzle-orm";
import type { Db } from "../connection/session.ts";
import { leadership as row } from "../schema.ts";
import { hole, instantText, isoNow, millisHole, millisSince, textHole } from "../sql.ts";

/** The database's clock, as text with microseconds and as Unix milliseconds. */
export const now = {
  text: isoNow,
  ms: sql<string>`extract(epoch FROM now()) * 1000`,
};

/**
 * The row is locked first, and everything a refusal depends on is computed from what is locked: the UPDATE and the
 * answer cannot disagree, whoever wrote the row a moment ago.
 */
export function buildBegin(db: Db) {
  const full = sql`${hole("full")}::boolean`;
  const isCron = sql`${textHole("trigger")} = 'cron'`;
  const halfInterval = sql`${millisHole("intervalMs")} / 2`;
  const isPostgres = sql`${textHole("leaseKind")} = 'postgres'`;
  const current = db.$with("current").as(
    db
      .select({
        noted: row.leaseKind,
        alreadySwept: flag(
          "already_swept",
          sql`${full} AND ${isCron} AND ${row.sweepFinishedAt} IS NOT NULL
            AND ${row.sweepStartedAt} > now() - ${halfInterval}`,
        ),
        otherKind: flag(
          "other_kind",
          sql`${row.leaseKind} <> ${textHole("leaseKind")}
            AND ${row.progressedAt} > now() - ${millisHole("otherKindAfterMs")}`,
        ),
        holdsLease: flag(
          "holds_lease",
          sql`NOT ${isPostgres}
            OR ${row.holder} = ${textHole("leaseValue")} AND ${row.leaseExpiresAt} > now()`,
        ),
      })
      .from(row)
      .for("no key update"),
  );
  const whenFull = (value: SQL, column: Column) =>
    sql`CASE WHEN ${full} THEN ${value} ELSE ${column} END`;
  const begun = db.$with("begun").as(
    db
      .update(row)
      .set({
        epoch: sql`${row.epoch} + 1`,
        holder: textHole("leaseValue"),
        leaseKind: textHole("leaseKind"),
        leaseExpiresAt: sql`CASE WHEN ${isPostgres} THEN ${row.leaseExpiresAt} END`,
        sweepTrigger: whenFull(textHole("trigger"), row.sweepTrigger),
        sweepStartedAt: whenFull(sql`now()`, row.sweepStartedAt),
        sweepFinishedAt: whenFull(sql`NULL::timestamptz`, row.sweepFinishedAt),
        progressedAt: whenFull(sql`now()`, row.progressedAt),
      })
      .from(current)
      .where(
        sql`NOT ${current.alreadySwept} AND NOT ${current.otherKind} AND ${current.holdsLease}`,
      )
      .returning({
        epoch: row.epoch,
        apiPausedUntil: row.apiPausedUntil,
        apiConcurrency: row.apiConcurrency,
      }),
  );
  return db
    .with(current, begun)
    .select({
      epoch: sql<string | null>`${begun.epoch}`,
      pausedForMs: sql<string | null>`extract(epoch FROM ${begun.apiPausedUntil} - now()) * 1000`,
      concurrency: begun.apiConcurrency,
      ...now,
      alreadySwept: current.alreadySwept,
      otherKind: current.otherKind,
      noted: current.noted,
    })
    .from(current)
    .leftJoin(begun, sql`true`)
    .prepare("watchdog_begin");
}

/** Unknown counts as no. */
function flag(name: string, condition: SQL): SQL.Aliased<boolean> {
  return sql<boolean>`coalesce(${condition}, false)`.as(name);
}

export function buildRead(db: Db) {
  return db
    .select({
      installation: row.installation,
      epoch: row.epoch,
      holder: row.holder,
      leaseKind: row.leaseKind,
      sweepStartedAt: instantText<string | null>(row.sweepStartedAt),
      sweepFinishedAt: instantText<string | null>(row.sweepFinishedAt),
      sinceProgressMs: millisSince(row.progressedAt),
      sinceFinishMs: millisSince(row.sweepFinishedAt),
      lastStatus: sql<string | null>`${row.lastReport} ->> 'status'`,
      readAt: isoNow,
    })
    .from(row)
    .prepare("watchdog_leadership");
}
