import { and, asc, gt, isNull, lt, sql } from "drizzle-orm";
import { unionAll } from "drizzle-orm/pg-core";
import type { Db } from "../connection/session.ts";
import { automationRuns as runs } from "../host-tables.ts";
import { suspicions } from "../schema.ts";
import { hole, instantHole, instantText, millisHole } from "../sql.ts";
import {
  began,
  horizon,
  isDue,
  isRunning,
  isShielded,
  isSuspectedBefore,
  isWaiting,
  ofItsRun,
  ofRun,
} from "./run-conditions.ts";

/** The runs to take up, page by page: each part in the order of an index, behind the last one of the page before. */

/** A run is in one of the two parts: due by its own deadline, or by our look behind the shield that we set. */
export function buildStalePage(db: Db) {
  const after = sql`(${instantHole("afterAt")}, ${hole("afterId")}::uuid)`;
  const byDeadline = db
    .select({ id: runs.id, at: sql`${runs.timeoutAt}`.as("at") })
    .from(runs)
    .where(
      and(
        isRunning,
        lt(runs.timeoutAt, instantHole("horizon")),
        sql`(${runs.timeoutAt}, ${runs.id}) > ${after}`,
        sql`(SELECT ${isShielded} OR ${isWaiting} FROM ${suspicions} WHERE ${ofRun}) IS NOT TRUE`,
      ),
    )
    .orderBy(asc(runs.timeoutAt), asc(runs.id))
    .limit(hole("limit"));
  const byLook = db
    .select({ id: suspicions.runId, at: sql`${suspicions.lookAt}`.as("at") })
    .from(suspicions)
    .where(
      and(
        lt(suspicions.lookAt, instantHole("horizon")),
        sql`(${suspicions.lookAt}, ${suspicions.runId}) > ${after}`,
        ofItsRun(sql`${isShielded} AND NOT ${isWaiting}`),
      ),
    )
    .orderBy(asc(suspicions.lookAt), asc(suspicions.runId))
    .limit(hole("limit"));
  const due = unionAll(byDeadline, byLook).as("due");
  return db
    .select({ id: due.id, dueAt: instantText<string>(due.at) })
    .from(due)
    .orderBy(asc(due.at), asc(due.id))
    .limit(hole("limit"))
    .prepare("watchdog_stale_page");
}

export function buildPageWithoutDeadline(db: Db) {
  return db
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        isRunning,
        isNull(runs.timeoutAt),
        sql`${began} < ${horizon} - ${millisHole("nullDeadlineAfterMs")}`,
        sql`${runs.id} > ${hole("afterId")}::uuid`,
        sql`(SELECT ${isWaiting} FROM ${suspicions} WHERE ${ofRun}) IS NOT TRUE`,
      ),
    )
    .orderBy(asc(runs.id))
    .limit(hole("limit"))
    .prepare("watchdog_page_without_deadline");
}

export function buildSuspectedPage(db: Db) {
  return db
    .select({ id: suspicions.runId })
    .from(suspicions)
    .where(
      and(
        gt(suspicions.presumedTimes, 0),
        sql`${suspicions.runId} > ${hole("afterId")}::uuid`,
        ofItsRun(sql`${isSuspectedBefore} AND NOT ${isWaiting} AND ${isDue} IS NOT TRUE`),
      ),
    )
    .orderBy(asc(suspicions.runId))
    .limit(hole("limit"))
    .prepare("watchdog_suspected_page");
}
