import { and, eq, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/pg-core";
import type { Db } from "../connection/session.ts";
import type { HostColumns } from "../host-tables.ts";
import { verdicts } from "../schema.ts";
import { ourEpoch } from "../sql.ts";
import { claimedFrom, restamp } from "./host-stamps.ts";

const GIVE_UP_AFTER = "24 hours";

/** The sandbox is gone, so whatever else waits for its deletion is settled with it. */
export function doneStatement(
  db: Db,
  host: HostColumns,
  id: number,
  note: string | null,
  epoch: number,
) {
  const deleted = alias(verdicts, "deleted");
  const sandboxId = db
    .select({ sandboxId: deleted.sandboxId })
    .from(deleted)
    .where(eq(deleted.id, id));
  const settled = db.$with("settled").as(
    db
      .select({
        id: verdicts.id,
        runId: verdicts.runId,
        stampAt: verdicts.cleanupStampAt,
        stampTo: sql`NULL::timestamptz`.as("stamp_to"),
      })
      .from(verdicts)
      .where(
        and(
          eq(verdicts.cleanupState, "pending"),
          // Not an OR with the verdict's own id: that would read all that is pending.
          sql`${verdicts.sandboxId} = (${sandboxId})`,
          ourEpoch(epoch),
        ),
      )
      .for("update"),
  );
  const ctes = host.sandboxCleanupDueAt ? Object.values(restamp(db, settled)) : [];
  return db
    .with(settled, ...ctes)
    .update(verdicts)
    .set({ cleanupState: "done", cleanupNextAt: null, cleanupError: note })
    .from(settled)
    .where(eq(verdicts.id, settled.id));
}

/** The stamp keeps the host's watchdog away until the next attempt would have ended. */
export function failedStatement(
  db: Db,
  host: HostColumns,
  id: number,
  error: string,
  retryInMs: number,
  epoch: number,
) {
  const state = sql<"pending" | "abandoned">`CASE
    WHEN coalesce(${verdicts.cleanupDueAt}, ${verdicts.decidedAt}) < now() - ${GIVE_UP_AFTER}::interval
    THEN 'abandoned' ELSE 'pending' END`;
  const failed = db.$with("failed").as(
    db
      .select({
        id: verdicts.id,
        runId: verdicts.runId,
        state: state.as("state"),
        stampAt: verdicts.cleanupStampAt,
        stampTo: sql`CASE ${state} WHEN 'pending' THEN ${claimedFrom(retryInMs)} END`.as(
          "stamp_to",
        ),
      })
      .from(verdicts)
      .where(and(eq(verdicts.id, id), eq(verdicts.cleanupState, "pending"), ourEpoch(epoch)))
      .for("update"),
  );
  const end = {
    cleanupError: error,
    cleanupNextAt: sql`now() + ${retryInMs}::float8 * interval '1 millisecond'`,
    cleanupState: sql`${failed.state}`,
  };
  const isIt = eq(verdicts.id, failed.id);
  if (!host.sandboxCleanupDueAt) {
    const update = db.with(failed).update(verdicts).set(end).from(failed);
    return update.where(isIt).returning({ state: verdicts.cleanupState });
  }
  const { held, stamped } = restamp(db, failed);
  return db
    .with(failed, held, stamped)
    .update(verdicts)
    .set({
      ...end,
      cleanupStampAt: sql`coalesce(${stamped.stampAt}, ${verdicts.cleanupStampAt})`,
    })
    .from(failed)
    .leftJoin(stamped, eq(stamped.runId, failed.runId))
    .where(isIt)
    .returning({ state: verdicts.cleanupState });
}
