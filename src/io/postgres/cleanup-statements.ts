import { and, asc, eq, gt, inArray, lt, lte, ne, notExists, type SQL, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import { CLAIM_MS } from "../../rules/cleanup-retry.ts";
import { automations, type HostColumns, automationRuns as runs } from "./host-tables.ts";
import { verdicts } from "./schema.ts";
import type { Db } from "./session.ts";
import { ourEpoch } from "./sql.ts";

const GIVE_UP_AFTER = "24 hours";
const ADOPT_WITHIN = "1 hour";

/**
 * What becomes of a deletion that is due. `spared`: its run is not ours any more, or the sandbox is kept. `postponed`:
 * a RUNNING run names the sandbox as well.
 */
type Fate = "claimed" | "spared" | "postponed";

/** One attempt is counted for what is claimed; whatever is not spared is looked at again when the claim has run out. */
export function claimStatement(db: Db, host: HostColumns, epoch: number, limit: number) {
  const due = db.$with("due").as(
    db
      .select({ id: verdicts.id, fate: fateOf(host).as("fate") })
      .from(verdicts)
      .where(
        and(
          eq(verdicts.cleanupState, "pending"),
          lte(verdicts.cleanupNextAt, sql`now()`),
          goesFirst(db),
          ourEpoch(epoch),
        ),
      )
      .orderBy(asc(verdicts.cleanupNextAt))
      .limit(limit)
      .for("update", { skipLocked: true }),
  );
  return db
    .with(due)
    .update(verdicts)
    .set({
      cleanupAttempts: sql`${verdicts.cleanupAttempts} + (${due.fate} = 'claimed')::int`,
      cleanupNextAt: sql`now() + ${CLAIM_MS}::float8 * interval '1 millisecond'`,
      cleanupState: sql`CASE WHEN ${due.fate} = 'spared' THEN 'none' ELSE 'pending' END`,
    })
    .from(due)
    .where(eq(verdicts.id, due.id))
    .returning({
      id: verdicts.id,
      runId: verdicts.runId,
      userId: verdicts.userId,
      orgId: verdicts.orgId,
      sandboxId: verdicts.sandboxId,
      attempts: verdicts.cleanupAttempts,
      fate: due.fate,
    });
}

/**
 * Of several verdicts that name the same sandbox one at a time is claimed, and none while another's attempt is in
 * flight, backing off, or still to wait for: the sandbox goes when all of them agree. The one with most attempts goes
 * on, so that they do not add up. While a claim is not committed yet, everybody else chooses the same row, and skips it.
 */
function goesFirst(db: Db): SQL {
  const other = alias(verdicts, "other");
  return notExists(
    db
      .select({ id: other.id })
      .from(other)
      .where(
        and(
          eq(other.cleanupState, "pending"),
          eq(other.sandboxId, verdicts.sandboxId),
          ne(other.id, verdicts.id),
          sql`(${other.cleanupNextAt} > now() OR (${other.cleanupAttempts}, ${verdicts.id})
            > (${verdicts.cleanupAttempts}, ${other.id}))`,
        ),
      ),
  );
}

function fateOf(host: HostColumns): SQL<Fate> {
  // A late callback may have overturned a presumption; then its sandbox is the host's business again.
  const stillOurs = sql`EXISTS (
    SELECT FROM ${runs} LEFT JOIN ${automations} ON ${automations.id} = ${runs.automationId}
    WHERE ${runs.id} = ${verdicts.runId} AND ${presumedDead()}
      AND ${runs.sandboxId} IS NOT DISTINCT FROM ${verdicts.sandboxId} AND ${notKept(host)})`;
  const named = sql`EXISTS (SELECT FROM ${runs}
    WHERE ${runs.status} = 'RUNNING' AND ${runs.sandboxId} = ${verdicts.sandboxId})`;
  return sql<Fate>`CASE WHEN ${verdicts.basis} <> 'proof' AND NOT ${stillOurs} THEN 'spared'
    WHEN ${named} THEN 'postponed' ELSE 'claimed' END`;
}

/** A run as a presumption of ours leaves it: nobody has changed its end since. */
export function presumedDead(): SQL {
  return sql`${runs.status} = 'FAILED' AND ${runs.errorDetail} LIKE 'Timed out: %'`;
}

function notKept(host: HostColumns): SQL {
  return host.keepAlive ? sql`${automations.keepAlive} IS NOT TRUE` : sql`true`;
}

/** The sandbox is gone, so whatever else waits for its deletion is settled with it. */
export function doneStatement(db: Db, id: number, note: string | null, epoch: number) {
  const deleted = alias(verdicts, "deleted");
  const sandboxId = db
    .select({ sandboxId: deleted.sandboxId })
    .from(deleted)
    .where(eq(deleted.id, id));
  return db
    .update(verdicts)
    .set({ cleanupState: "done", cleanupNextAt: null, cleanupError: note })
    .where(
      and(
        eq(verdicts.cleanupState, "pending"),
        sql`(${eq(verdicts.id, id)} OR ${inArray(verdicts.sandboxId, sandboxId)})`,
        ourEpoch(epoch),
      ),
    );
}

export function failedStatement(
  db: Db,
  id: number,
  error: string,
  retryInMs: number,
  epoch: number,
) {
  return db
    .update(verdicts)
    .set({
      cleanupError: error,
      cleanupNextAt: sql`now() + ${retryInMs}::float8 * interval '1 millisecond'`,
      cleanupState: sql`CASE WHEN ${verdicts.decidedAt} < now() - ${GIVE_UP_AFTER}::interval
        THEN 'abandoned' ELSE 'pending' END`,
    })
    .where(and(eq(verdicts.id, id), eq(verdicts.cleanupState, "pending"), ourEpoch(epoch)))
    .returning({ state: verdicts.cleanupState });
}

/** The dispatcher names a sandbox when its command has begun, also after a verdict. */
export function adoptStatement(db: Db, host: HostColumns, delayMs: number, epoch: number) {
  return db
    .update(verdicts)
    .set({
      sandboxId: sql`${runs.sandboxId}`,
      cleanupState: "pending",
      cleanupNextAt: sql`now() + ${delayMs}::float8 * interval '1 millisecond'`,
    })
    .from(runs)
    .leftJoin(automations, eq(automations.id, runs.automationId))
    .where(
      and(
        eq(verdicts.basis, "presumption"),
        gt(verdicts.decidedAt, sql`now() - ${ADOPT_WITHIN}::interval`),
        eq(verdicts.cleanupState, "none"),
        sql`coalesce(${verdicts.sandboxId}, '') = ''`,
        eq(runs.id, verdicts.runId),
        ne(runs.sandboxId, ""),
        presumedDead(),
        notKept(host),
        ourEpoch(epoch),
      ),
    )
    .returning({ id: verdicts.id });
}

const BASES = ["proof", "presumption"];

/** @param limit keeps the statement short; the rest is removed by the next one. */
export function pruneStatement(db: Db, olderThanMs: number, limit: number, epoch: number) {
  // A CTE with a locking clause is run once; as a subquery it might be run again for every row, each time for others.
  const old = db.$with("old").as(
    db
      .select({ id: verdicts.id })
      .from(verdicts)
      .where(
        and(
          // Every basis there is: the index over both columns then finds the old ones of each.
          inArray(verdicts.basis, BASES),
          lt(verdicts.decidedAt, sql`now() - ${olderThanMs}::float8 * interval '1 millisecond'`),
          ne(verdicts.cleanupState, "pending"),
          ne(verdicts.firstRunState, "pending"),
          ourEpoch(epoch),
        ),
      )
      .limit(limit)
      .for("update", { skipLocked: true }),
  );
  return db
    .with(old)
    .delete(verdicts)
    .where(inArray(verdicts.id, db.select({ id: old.id }).from(old)))
    .returning({ id: verdicts.id });
}
