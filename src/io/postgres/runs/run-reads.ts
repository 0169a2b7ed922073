import { and, asc, desc, eq, inArray, type SQL, sql } from "drizzle-orm";
import { unionAll } from "drizzle-orm/pg-core";
import type { RunIdName } from "../../../watchdog/ports.ts";
import type { Db } from "../connection/session.ts";
import { automations, type HostColumns, automationRuns as runs } from "../host-tables.ts";
import { leadership, suspicions, verdicts } from "../schema.ts";
import { hole, instantText, isoNow, millisSince, ourEpoch } from "../sql.ts";
import {
  began,
  counted,
  deadline,
  dueAt,
  guard,
  horizon,
  includesSuspected,
  isDue,
  isOurVerdict,
  isRunning,
  isStale,
  isSuspected,
  isSuspectedBefore,
  isWaiting,
  ofItsRun,
  ofRun,
} from "./run-conditions.ts";

/** What a sweep reads of single runs and of all together, each as one statement. */

function selectSnapshot(db: Db, host: HostColumns) {
  return db
    .select({
      id: runs.id,
      automationId: runs.automationId,
      userId: automations.userId,
      orgId: automations.orgId,
      status: runs.status,
      stale: isStale(dueAt),
      timeoutAt: instantText<string | null>(runs.timeoutAt),
      beganAt: instantText<string | null>(began),
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
      presumedTimes: counted(suspicions.presumedTimes),
      presumedReason: counted(suspicions.presumedReason),
      sincePresumedMs: millisSince(counted(suspicions.presumedLastAt)),
      unknownTimes: counted(suspicions.unknownTimes),
      unknownSinceMs: sql<
        string | null
      >`extract(epoch FROM ${counted(suspicions.unknownSince)}) * 1000`,
      errorTimes: counted(suspicions.errorTimes),
      readAt: isoNow,
    })
    .from(runs)
    .leftJoin(automations, eq(automations.id, runs.automationId))
    .leftJoin(suspicions, ofRun);
}

export type SnapshotRow = Awaited<ReturnType<typeof selectSnapshot>>[number];

export function buildRead(db: Db, host: HostColumns) {
  return selectSnapshot(db, host)
    .where(eq(runs.id, hole("id")))
    .prepare("watchdog_read");
}

/** Few are wanted, so most are not looked at: those with a deadline in the order of its index, then those without. */
export function buildControlRuns(db: Db, host: HostColumns) {
  const { presumedTimes, unknownTimes, errorTimes } = suspicions;
  const fit = and(
    isRunning,
    sql`${isDue} IS NOT TRUE`,
    needed("sandboxId"),
    needed("bashCommandId"),
    sql`coalesce(${counted(presumedTimes)} + ${counted(unknownTimes)}
      + ${counted(errorTimes)}, 0) = 0`,
  );
  const timed = selectSnapshot(db, host)
    .where(and(fit, sql`${runs.timeoutAt} >= ${horizon}`))
    .orderBy(desc(runs.timeoutAt), desc(runs.id))
    .limit(hole("limit"));
  const untimed = selectSnapshot(db, host)
    .where(and(fit, sql`${runs.timeoutAt} IS NULL`))
    .orderBy(desc(began), desc(runs.id))
    .limit(hole("limit"));
  return unionAll(timed, untimed).limit(hole("limit")).prepare("watchdog_control_runs");
}

/** A missing id does not matter to a backend that does not need it. */
function needed(name: RunIdName): SQL {
  return sql`(${hole(name)}::boolean IS NOT TRUE OR ${runs[name]} <> '')`;
}

export function buildBacklog(db: Db) {
  const isTakenUp = sql`(${isDue} OR ${includesSuspected} AND coalesce(${isSuspectedBefore}, false))`;
  const firstDeadline = sql`least(${counted(suspicions.firstDeadlineAt)}, ${deadline})`;
  const count = (condition: ReturnType<typeof sql>) =>
    sql<string>`count(*) FILTER (WHERE ${condition})`;
  return db
    .select({
      count: count(sql`${isTakenUp} AND NOT ${isWaiting}`),
      deferred: count(
        sql`NOT ${isTakenUp} AND ${counted(suspicions.firstDeadlineAt)} < ${horizon}`,
      ),
      held: count(sql`${counted(suspicions.heldSince)} IS NOT NULL`),
      failing: count(sql`${counted(suspicions.errorTimes)} > 0`),
      // Seconds are subtracted, not instants: a deadline of -infinity stops older servers.
      oldestOverdueMs: sql<string | null>`(extract(epoch FROM ${horizon})
        - extract(epoch FROM min(${firstDeadline}) FILTER (WHERE ${firstDeadline} < ${horizon}))) * 1000`,
    })
    .from(runs)
    .leftJoin(suspicions, ofRun)
    .where(and(isRunning, sql`(${deadline} < ${horizon} OR ${suspicions.runId} IS NOT NULL)`))
    .prepare("watchdog_backlog");
}

/** Whatever a sweep is limited to, the guard knows of the whole fleet: a mass must not pass in pieces. */
export function buildGuardFacts(db: Db) {
  const confirmable = db
    .select({ id: suspicions.runId })
    .from(suspicions)
    .where(
      and(
        sql`${suspicions.presumedTimes} > 0
          AND ${suspicions.presumedTimes} >= ${hole("confirmations")}::int - 1`,
        ofItsRun(isSuspected),
      ),
    )
    .orderBy(asc(suspicions.runId));
  const lastAnswered = sql`(SELECT sum(value::bigint) FROM ${leadership},
    jsonb_each_text(${leadership.lastReport} -> 'counts')
    WHERE key IN ('completed', 'failed', 'deferred', 'suspected', 'held'))`;
  return db
    .select({
      confirmable: sql<readonly string[]>`to_json(ARRAY(${confirmable}))`,
      presumedLastHour: sql<string>`count(*) FILTER (WHERE ${verdicts.basis} = 'presumption'
        AND ${verdicts.overrideReason} IS NULL)`,
      provenLastHour: sql<string>`count(*) FILTER (WHERE ${verdicts.basis} = 'proof')`,
      lastAnswered: sql<string | null>`${lastAnswered}`,
    })
    .from(verdicts)
    .where(
      and(
        // Both, so that the index over basis and time is of use.
        inArray(verdicts.basis, ["presumption", "proof"]),
        sql`${verdicts.decidedAt} > now() - interval '1 hour'`,
      ),
    )
    .prepare("watchdog_guard_facts");
}

export function buildFacts(db: Db) {
  return db
    .select({
      journaled: sql<boolean>`EXISTS (SELECT FROM ${verdicts} WHERE ${isOurVerdict}
        AND ${verdicts.runId} = ${hole("id")}::uuid AND ${verdicts.epoch} = ${hole("epoch")}::bigint)`,
      epochIsOurs: ourEpoch(hole("epoch")),
      rowMatches: sql<boolean>`EXISTS (SELECT FROM ${runs} WHERE ${guard()})`,
    })
    .from(leadership)
    .prepare("watchdog_facts");
}
