import { and, asc, eq, lte, ne, notExists, type SQL, type SQLWrapper, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import { CLAIM_MS } from "../../../rules/cleanup/cleanup-retry.ts";
import type { Db } from "../connection/session.ts";
import { automations, type HostColumns, automationRuns as runs } from "../host-tables.ts";
import { verdicts } from "../schema.ts";
import { ourEpoch } from "../sql.ts";
import { hasEnded, isKept, presumedDead } from "./ended-runs.ts";
import { claimedFrom, restamp } from "./host-stamps.ts";

/**
 * What becomes of a deletion that is due. `spared`: its run or its sandbox is not ours any more, or the sandbox is kept.
 * `settled`: somebody took our stamp away, as the host does when it has deleted. `postponed`: a RUNNING run names the
 * sandbox as well, or its own run is being written. `paused`: the deletion itself is not due.
 */
type Fate = "claimed" | "paused" | "postponed" | "settled" | "spared";

/** One attempt is counted for what is claimed; what is postponed is looked at again when a claim would have run out. */
export function claimStatement(db: Db, host: HostColumns, epoch: number, limit: number) {
  const fate = fateOf(host);
  const due = db.$with("due").as(
    db
      .select({
        id: verdicts.id,
        runId: verdicts.runId,
        fate: fate.as("fate"),
        stampAt: verdicts.cleanupStampAt,
        stampTo: sql`CASE ${fate} WHEN 'claimed' THEN ${claimedFrom(0)} WHEN 'spared' THEN NULL
          ELSE ${verdicts.cleanupStampAt} END`.as("stamp_to"),
        stamped: stampedAsOurs(host).as("stamped"),
      })
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
  if (!host.sandboxCleanupDueAt) {
    return db
      .with(due)
      .update(verdicts)
      .set(claimed(sql`${due.fate}`, sql`${verdicts.cleanupStampAt}`))
      .from(due)
      .where(eq(verdicts.id, due.id))
      .returning(claim(sql<Fate>`${due.fate}`));
  }
  const { held, stamped } = restamp(db, due);
  const final = sql<Fate>`CASE WHEN ${due.fate} = 'claimed' AND ${due.stamped} AND ${held.runId} IS NULL
    THEN 'postponed' ELSE ${due.fate} END`;
  return db
    .with(due, held, stamped)
    .update(verdicts)
    .set(claimed(final, sql`coalesce(${stamped.stampAt}, ${verdicts.cleanupStampAt})`))
    .from(due)
    .leftJoin(held, eq(held.runId, due.runId))
    .leftJoin(stamped, eq(stamped.runId, due.runId))
    .where(eq(verdicts.id, due.id))
    .returning(claim(final));
}

function claimed(fate: SQL, cleanupStampAt: SQL) {
  return {
    cleanupAttempts: sql`${verdicts.cleanupAttempts} + (${fate} = 'claimed')::int`,
    cleanupNextAt: sql`CASE ${fate} WHEN 'settled' THEN NULL WHEN 'paused' THEN ${verdicts.cleanupDueAt}
      ELSE now() + ${CLAIM_MS}::float8 * interval '1 millisecond' END`,
    cleanupState: sql`CASE ${fate} WHEN 'spared' THEN 'none' WHEN 'settled' THEN 'done' ELSE 'pending' END`,
    cleanupError: sql`CASE ${fate} WHEN 'settled' THEN 'the host took it over' ELSE ${verdicts.cleanupError} END`,
    cleanupStampAt,
  };
}

function claim(fate: SQL<Fate>) {
  return {
    id: verdicts.id,
    runId: verdicts.runId,
    userId: verdicts.userId,
    orgId: verdicts.orgId,
    sandboxId: verdicts.sandboxId,
    attempts: verdicts.cleanupAttempts,
    untilDueMs: sql<string | null>`extract(epoch FROM ${verdicts.cleanupDueAt} - now()) * 1000`,
    fate,
  };
}

/**
 * Of several verdicts that name the same sandbox one at a time is claimed, and none while another's attempt is in
 * flight, backing off, or still to wait for: the sandbox goes when all of them agree, and is paused when all of them
 * agree to that. The one with most attempts goes on, so that they do not add up. While a claim is not committed yet,
 * everybody else chooses the same row, and skips it.
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
          sql`(${other.cleanupNextAt} > now() OR ${isToPause(other)} AND NOT ${isToPause(verdicts)}
            OR (${other.cleanupAttempts}, ${verdicts.id}) > (${verdicts.cleanupAttempts}, ${other.id}))`,
        ),
      ),
  );
}

/** Only what the host was told of is paused: without a stamp nothing is touched before it is deleted. */
function isToPause(verdict: Readonly<Record<"cleanupDueAt" | "cleanupStampAt", SQLWrapper>>): SQL {
  return sql`(${verdict.cleanupStampAt} IS NOT NULL AND ${verdict.cleanupDueAt} > now())`;
}

function fateOf(host: HostColumns): SQL<Fate> {
  // A late callback may have overturned a presumption; then its sandbox is the host's business again.
  const stillOurs = ofTheRun(sql`${runs.sandboxId} IS NOT DISTINCT FROM ${verdicts.sandboxId}
    AND CASE ${verdicts.basis} WHEN 'presumption' THEN ${presumedDead()} ELSE ${hasEnded()} END`);
  const kept = sql`EXISTS (SELECT FROM ${automations}
    WHERE ${automations.id} = ${verdicts.automationId} AND ${isKept(host)})`;
  const named = sql`EXISTS (SELECT FROM ${runs}
    WHERE ${runs.status} = 'RUNNING' AND ${runs.sandboxId} = ${verdicts.sandboxId})`;
  return sql<Fate>`CASE WHEN ${verdicts.basis} <> 'proof' AND NOT ${stillOurs} THEN 'spared'
    WHEN ${kept} THEN 'spared' ${fatesOfStamps(host)}
    WHEN ${named} THEN 'postponed' WHEN ${isToPause(verdicts)} THEN 'paused' ELSE 'claimed' END`;
}

/** By the stamp that the row has instead of ours. Where the row is gone there is nothing to compare. */
function fatesOfStamps(host: HostColumns): SQL {
  if (!host.sandboxCleanupDueAt) return sql``;
  const ours = sql`${verdicts.cleanupStampAt} IS NOT NULL`;
  return sql`WHEN ${ours} AND ${ofTheRun(sql`${runs.sandboxCleanupDueAt} IS NULL`)} THEN 'settled'
    WHEN ${ours} AND ${ofTheRun(sql`${runs.sandboxCleanupDueAt} <> ${verdicts.cleanupStampAt}`)}
    THEN 'spared'`;
}

function stampedAsOurs(host: HostColumns): SQL<boolean> {
  if (!host.sandboxCleanupDueAt) return sql`false`;
  return ofTheRun(sql`${runs.sandboxCleanupDueAt} = ${verdicts.cleanupStampAt}`);
}

function ofTheRun(condition: SQL): SQL<boolean> {
  return sql<boolean>`EXISTS (SELECT FROM ${runs} WHERE ${runs.id} = ${verdicts.runId} AND ${condition})`;
}
