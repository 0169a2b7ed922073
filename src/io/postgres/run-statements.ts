import { and, asc, eq, isNull, lt, type SQL, sql } from "drizzle-orm";
import { automations, type HostColumns, automationRuns as runs } from "./host-tables.ts";
import { leadership, verdictEntry, verdicts, watchdog } from "./schema.ts";
import type { Db } from "./session.ts";
import {
  hole,
  instantHole,
  instantText,
  isoNow,
  jsonHole,
  millisHole,
  ourEpoch,
  textHole,
} from "./sql.ts";

/**
 * The hot statements, built once per connection and shape of the host's tables. Each is one autocommit statement; a row
 * lock is taken with NOWAIT and held for that statement only.
 */
export type RunStatements = ReturnType<typeof runStatements>;

export function runStatements(host: HostColumns) {
  return {
    backlog: buildBacklog,
    stalePage: buildStalePage,
    pageWithoutDeadline: buildPageWithoutDeadline,
    read: (db: Db) => buildRead(db, host),
    apply: (db: Db) => buildApply(db, host),
    defer: (db: Db) => buildDefer(db, host),
    facts: buildFacts,
  };
}

/** What a write repeats of what its verdict was based on. */
function guard(): SQL | undefined {
  return and(
    eq(runs.id, hole("id")),
    eq(runs.status, "RUNNING"),
    sql`${runs.timeoutAt} IS NOT DISTINCT FROM ${instantHole("timeoutAt")}`,
    sql`${runs.sandboxId} IS NOT DISTINCT FROM ${textHole("sandboxId")}`,
    sql`${runs.bashCommandId} IS NOT DISTINCT FROM ${textHole("bashCommandId")}`,
  );
}

/**
 * The row to write, locked or refused at once. A CTE with a locking clause is never inlined, so it runs exactly once
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

function buildApply(db: Db, host: HostColumns) {
  const target = lockedTarget(db);
  const judged = db.$with("judged").as(
    db
      .update(runs)
      .set({
        status: sql`${textHole("status")}`,
        completedAt: sql`now()`,
        errorDetail: sql`coalesce(${textHole("errorDetail")}, ${runs.errorDetail})`,
        ...(host.statusDetail ? { statusDetail: jsonHole("statusDetail") } : {}),
      })
      .from(target)
      .where(eq(runs.id, target.id))
      .returning({ id: runs.id, sandboxId: runs.sandboxId }),
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
      evidence: sql`${textHole("evidence")}::jsonb`.as("evidence"),
      sandboxId: judged.sandboxId,
      cleanupState: textHole("cleanupState").as("cleanup_state"),
      cleanupNextAt: sql`now() + ${millisHole("cleanupInMs")}`.as("cleanup_next_at"),
      firstRunState: textHole("firstRunState").as("first_run_state"),
    })
    .from(judged);
  return db
    .with(target, judged)
    .insert(newVerdicts)
    .select(entry.getSQL())
    .returning({ runId: newVerdicts.runId })
    .prepare("watchdog_apply");
}

/** The journal without its identity column: drizzle's insert-select lists every column of the table it is given. */
const newVerdicts = watchdog.table("verdicts", verdictEntry);

function buildDefer(db: Db, host: HostColumns) {
  const target = lockedTarget(db);
  return db
    .with(target)
    .update(runs)
    .set({
      timeoutAt: sql`least(now() + ${millisHole("deferMs")}, to_timestamp(${hole("notAfterMs")}::float8 / 1000))`,
      ...(host.statusDetail ? { statusDetail: jsonHole("statusDetail") } : {}),
    })
    .from(target)
    .where(eq(runs.id, target.id))
    .returning({ id: runs.id })
    .prepare("watchdog_defer");
}

function buildRead(db: Db, host: HostColumns) {
  const began = sql`coalesce(${runs.startedAt}, ${runs.createdAt})`;
  const horizon = instantHole("horizon");
  return db
    .select({
      id: runs.id,
      automationId: runs.automationId,
      userId: automations.userId,
      orgId: automations.orgId,
      status: runs.status,
      stale: sql<boolean>`${runs.status} = 'RUNNING' AND coalesce(${runs.timeoutAt} < ${horizon},
        ${began} < ${horizon} - ${millisHole("nullDeadlineAfterMs")})`,
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
      readAt: isoNow,
    })
    .from(runs)
    .leftJoin(automations, eq(automations.id, runs.automationId))
    .where(eq(runs.id, hole("id")))
    .prepare("watchdog_read");
}

function buildBacklog(db: Db) {
  const horizon = instantHole("horizon");
  const began = sql`coalesce(${runs.startedAt}, ${runs.createdAt})`;
  const deadline = sql`coalesce(${runs.timeoutAt}, ${began} + ${millisHole("nullDeadlineAfterMs")})`;
  return db
    .select({
      count: sql<string>`count(*)`,
      // Seconds are subtracted, not instants: a deadline of -infinity stops older servers.
      oldestOverdueMs: sql<string | null>`(extract(epoch FROM ${horizon})
        - extract(epoch FROM min(${deadline}))) * 1000`,
    })
    .from(runs)
    .where(
      and(
        eq(runs.status, "RUNNING"),
        sql`(${runs.timeoutAt} < ${horizon} OR (${runs.timeoutAt} IS NULL
          AND ${began} < ${horizon} - ${millisHole("nullDeadlineAfterMs")}))`,
      ),
    )
    .prepare("watchdog_backlog");
}

function buildStalePage(db: Db) {
  return db
    .select({ id: runs.id, timeoutAt: instantText<string>(runs.timeoutAt) })
    .from(runs)
    .where(
      and(
        eq(runs.status, "RUNNING"),
        lt(runs.timeoutAt, instantHole("horizon")),
        sql`(${runs.timeoutAt}, ${runs.id}) > (${instantHole("afterAt")}, ${hole("afterId")}::uuid)`,
      ),
    )
    .orderBy(asc(runs.timeoutAt), asc(runs.id))
    .limit(hole("limit"))
    .prepare("watchdog_stale_page");
}

function buildPageWithoutDeadline(db: Db) {
  return db
    .select({ id: runs.id })
    .from(runs)
    .where(
      and(
        eq(runs.status, "RUNNING"),
        isNull(runs.timeoutAt),
        sql`coalesce(${runs.startedAt}, ${runs.createdAt})
          < ${instantHole("horizon")} - ${millisHole("nullDeadlineAfterMs")}`,
        sql`${runs.id} > ${hole("afterId")}::uuid`,
      ),
    )
    .orderBy(asc(runs.id))
    .limit(hole("limit"))
    .prepare("watchdog_page_without_deadline");
}

function buildFacts(db: Db) {
  return db
    .select({
      journaled: sql<boolean>`EXISTS (SELECT FROM ${verdicts}
        WHERE ${verdicts.runId} = ${hole("id")}::uuid AND ${verdicts.epoch} = ${hole("epoch")}::bigint)`,
      epochIsOurs: ourEpoch(hole("epoch")),
      rowMatches: sql<boolean>`EXISTS (SELECT FROM ${runs} WHERE ${guard()})`,
    })
    .from(leadership)
    .prepare("watchdog_facts");
}
