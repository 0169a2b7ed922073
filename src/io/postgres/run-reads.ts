import { and, asc, desc, eq, isNull, sql } from "drizzle-orm";
import { automations, type HostColumns, automationRuns as runs } from "./host-tables.ts";
import {
  began,
  deadline,
  guard,
  horizon,
  includesSuspected,
  isOverdue,
  isRunning,
  isStale,
  isSuspectedBefore,
  isWaiting,
  ofItsRun,
  remembered,
} from "./run-conditions.ts";
import { leadership, suspicions, verdicts } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, instantText, isoNow, millisSince, ourEpoch } from "./sql.ts";

/** What a sweep reads of single runs and of all together, each as one statement. */

function selectSnapshot(db: Db, host: HostColumns) {
  return db
    .select({
      id: runs.id,
      automationId: runs.automationId,
      userId: automations.userId,
      orgId: automations.orgId,
      status: runs.status,
      stale: isStale,
      timeoutAt: instantText<string | null>(runs.timeoutAt),
      sandboxId: runs.sandboxId,
      bashCommandId: runs.bashCommandId,
      beganAtMs: sql<string>`extract(epoch FROM ${began}) * 1000`,
      timeoutS: automations.timeout,
      keepAlive: host.keepAlive ? automations.keepAlive : sql<boolean | null>`NULL::boolean`,
      firstRunOpen: host.presetMetadata
        ? sql<boolean | null>`${automations.presetMetadata}::text LIKE '%"template"%'`
        : sql<boolean | null>`false`,
      statusDetail: host.statusDetail
        ? sql<string | null>`${runs.statusDetail}::text`
        : sql<string | null>`NULL::text`,
      presumedTimes: suspicions.presumedTimes,
      presumedReason: suspicions.presumedReason,
      sincePresumedMs: millisSince(suspicions.presumedLastAt),
      unknownTimes: suspicions.unknownTimes,
      unknownSinceMs: sql<string | null>`extract(epoch FROM ${suspicions.unknownSince}) * 1000`,
      errorTimes: suspicions.errorTimes,
      readAt: isoNow,
    })
    .from(runs)
    .leftJoin(automations, eq(automations.id, runs.automationId))
    .leftJoin(suspicions, remembered);
}

export type SnapshotRow = Awaited<ReturnType<typeof selectSnapshot>>[number];

export function buildRead(db: Db, host: HostColumns) {
  return selectSnapshot(db, host)
    .where(eq(runs.id, hole("id")))
    .prepare("watchdog_read");
}

export function buildCanaries(db: Db, host: HostColumns) {
  return selectSnapshot(db, host)
    .where(
      and(
        isRunning,
        sql`${runs.timeoutAt} >= ${horizon} AND ${runs.sandboxId} <> '' AND ${runs.bashCommandId} <> ''`,
        sql`coalesce(${suspicions.presumedTimes} + ${suspicions.unknownTimes}
          + ${suspicions.errorTimes}, 0) = 0`,
      ),
    )
    .orderBy(desc(runs.timeoutAt), desc(runs.id))
    .limit(hole("limit"))
    .prepare("watchdog_canaries");
}

export function buildBacklog(db: Db) {
  const isRemembered = sql`${suspicions.runId} IS NOT NULL`;
  const isDue = sql`(${isOverdue} OR ${includesSuspected} AND coalesce(${isSuspectedBefore}, false))`;
  const firstDeadline = sql`least(${suspicions.firstDeadlineAt}, ${deadline})`;
  const count = (condition: ReturnType<typeof sql>) =>
    sql<string>`count(*) FILTER (WHERE ${condition})`;
  return db
    .select({
      count: count(sql`${isDue} AND NOT ${isWaiting}`),
      deferred: count(sql`NOT ${isDue} AND ${suspicions.firstDeadlineAt} < ${horizon}`),
      held: count(sql`${suspicions.heldSince} IS NOT NULL`),
      failing: count(sql`${suspicions.errorTimes} > 0`),
      // Seconds are subtracted, not instants: a deadline of -infinity stops older servers.
      oldestOverdueMs: sql<string | null>`(extract(epoch FROM ${horizon})
        - extract(epoch FROM min(${firstDeadline}) FILTER (WHERE ${firstDeadline} < ${horizon}))) * 1000`,
    })
    .from(runs)
    .leftJoin(suspicions, remembered)
    .where(and(isRunning, sql`(${isOverdue} OR ${isRemembered})`))
    .prepare("watchdog_backlog");
}

export function buildGuardFacts(db: Db) {
  const confirmable = db
    .select({ id: suspicions.runId })
    .from(suspicions)
    .where(
      and(
        sql`${suspicions.presumedTimes} > 0
          AND ${suspicions.presumedTimes} >= ${hole("confirmations")}::int - 1`,
        sql`NOT ${isWaiting}`,
        ofItsRun(sql`(${isOverdue} OR ${includesSuspected})`),
      ),
    )
    .orderBy(asc(suspicions.runId));
  return db
    .select({
      confirmable: sql<readonly string[]>`to_json(ARRAY(${confirmable}))`,
      presumedLastHour: sql<string>`count(*)`,
    })
    .from(verdicts)
    .where(
      and(
        eq(verdicts.basis, "presumption"),
        isNull(verdicts.overrideReason),
        sql`${verdicts.decidedAt} > now() - interval '1 hour'`,
      ),
    )
    .prepare("watchdog_guard_facts");
}

export function buildFacts(db: Db) {
  return db
    .select({
      // A deletion that the host had left is in the journal as well.
      journaled: sql<boolean>`EXISTS (SELECT FROM ${verdicts} WHERE ${verdicts.basis} <> 'host'
        AND ${verdicts.runId} = ${hole("id")}::uuid AND ${verdicts.epoch} = ${hole("epoch")}::bigint)`,
      epochIsOurs: ourEpoch(hole("epoch")),
      rowMatches: sql<boolean>`EXISTS (SELECT FROM ${runs} WHERE ${guard()})`,
    })
    .from(leadership)
    .prepare("watchdog_facts");
}
