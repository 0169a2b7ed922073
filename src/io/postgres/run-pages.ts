import { and, asc, isNull, lt, sql } from "drizzle-orm";
import { automationRuns as runs } from "./host-tables.ts";
import {
  began,
  horizon,
  isOverdue,
  isRunning,
  isSuspectedBefore,
  isWaiting,
  ofItsRun,
  remembered,
} from "./run-conditions.ts";
import { suspicions } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, instantHole, instantText, millisHole } from "./sql.ts";

/** The runs to take up, page by page: each part in the order of an index, behind the last one of the page before. */

export function buildStalePage(db: Db) {
  return db
    .select({ id: runs.id, timeoutAt: instantText<string>(runs.timeoutAt) })
    .from(runs)
    .where(
      and(
        isRunning,
        lt(runs.timeoutAt, instantHole("horizon")),
        sql`(${runs.timeoutAt}, ${runs.id}) > (${instantHole("afterAt")}, ${hole("afterId")}::uuid)`,
        isNotWaiting,
      ),
    )
    .orderBy(asc(runs.timeoutAt), asc(runs.id))
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
        isNotWaiting,
      ),
    )
    .orderBy(asc(runs.id))
    .limit(hole("limit"))
    .prepare("watchdog_page_without_deadline");
}

const isNotWaiting = sql`(SELECT ${isWaiting} FROM ${suspicions} WHERE ${remembered}) IS NOT TRUE`;

export function buildSuspectedPage(db: Db) {
  return db
    .select({ id: suspicions.runId })
    .from(suspicions)
    .where(
      and(
        isSuspectedBefore,
        sql`NOT ${isWaiting}`,
        sql`${suspicions.runId} > ${hole("afterId")}::uuid`,
        ofItsRun(sql`NOT ${isOverdue}`),
      ),
    )
    .orderBy(asc(suspicions.runId))
    .limit(hole("limit"))
    .prepare("watchdog_suspected_page");
}
