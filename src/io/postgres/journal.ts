import { and, asc, eq, gt, lte, sql } from "drizzle-orm";
import type { CleanupTask, Fence, FirstRunTask, Journal } from "../../watchdog/ports.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { RowBusyError } from "./errors.ts";
import { automations, type HostColumns, automationRuns as runs } from "./host-tables.ts";
import { verdicts } from "./schema.ts";
import type { Db } from "./session.ts";
import { hole, isoNow, jsonHole, ourEpoch, textHole } from "./sql.ts";

/** What is still to be done about ended runs: sandboxes to delete, first outcomes to record. */
export class PostgresJournal implements Journal {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    const host = await this.#database.columns();
    while (true) {
      const rows = await this.#fenced("claiming clean-ups", fence, ({ db }) =>
        claim(db, host, fence.epoch, limit),
      );
      const tasks = rows.flatMap(({ state, sandboxId, ...task }) =>
        state === "pending" && sandboxId !== null ? [{ ...task, sandboxId }] : [],
      );
      // A batch of nothing but settled ones must not hide what is due behind it.
      if (tasks.length > 0 || rows.length === 0) return tasks;
    }
  }

  async cleanupDone(id: number, fence: Fence): Promise<void> {
    await this.#fenced("noting a clean-up", fence, ({ db }) =>
      db
        .update(verdicts)
        .set({ cleanupState: "done", cleanupNextAt: null, cleanupError: null })
        .where(and(eq(verdicts.id, id), ourEpoch(fence.epoch))),
    );
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const [row] = await this.#fenced("noting a failed clean-up", fence, ({ db }) =>
      db
        .update(verdicts)
        .set({
          cleanupError: error,
          cleanupNextAt: sql`now() + ${retryInMs}::float8 * interval '1 millisecond'`,
          cleanupState: sql`CASE WHEN ${verdicts.decidedAt} < now() - ${GIVE_UP_AFTER}::interval
            THEN 'abandoned' ELSE ${verdicts.cleanupState} END`,
        })
        .where(and(eq(verdicts.id, id), ourEpoch(fence.epoch)))
        .returning({ state: verdicts.cleanupState }),
    );
    return row?.state === "abandoned" ? "abandoned" : "pending";
  }

  async pendingCleanups(): Promise<number> {
    const [row] = await this.#database.run("counting clean-ups", ({ db }) =>
      db
        .select({ count: sql<string>`count(*)` })
        .from(verdicts)
        .where(eq(verdicts.cleanupState, "pending")),
    );
    return Number(row?.count ?? 0);
  }

  async openFirstRuns(
    afterAutomation: string | null,
    limit: number,
  ): Promise<readonly FirstRunTask[]> {
    const host = await this.#database.columns();
    if (!host.presetMetadata) return [];
    const rows = await this.#database.run("reading first runs", ({ db }) =>
      db
        .selectDistinctOn([verdicts.automationId], {
          automationId: verdicts.automationId,
          outcome: verdicts.outcome,
          metadata: sql<string | null>`${automations.presetMetadata}::text`,
          readAt: isoNow,
        })
        .from(verdicts)
        .leftJoin(automations, eq(automations.id, verdicts.automationId))
        .where(
          and(
            eq(verdicts.firstRunState, "pending"),
            gt(verdicts.automationId, afterAutomation ?? NIL_UUID),
          ),
        )
        .orderBy(asc(verdicts.automationId), asc(verdicts.id))
        .limit(limit),
    );
    return rows.flatMap(({ automationId, ...task }) =>
      automationId === null ? [] : [{ ...task, automationId }],
    );
  }

  async recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean> {
    const host = await this.#database.columns();
    try {
      const rows = await this.#fenced("recording a first run", fence, (connection) =>
        connection.prepared(host.updatedAt ? buildRecordAndTouch : buildRecord).execute({
          id: task.automationId,
          seen: task.metadata,
          metadata,
          epoch: fence.epoch,
        }),
      );
      return rows.length === 1;
    } catch (error) {
      if (error instanceof RowBusyError) return false;
      throw error;
    }
  }

  async firstRunDone(automationId: string, fence: Fence): Promise<void> {
    await this.#fenced("closing a first run", fence, ({ db }) =>
      db
        .update(verdicts)
        .set({ firstRunState: "done" })
        .where(
          and(
            eq(verdicts.automationId, automationId),
            eq(verdicts.firstRunState, "pending"),
            ourEpoch(fence.epoch),
          ),
        ),
    );
  }

  #fenced<T>(
    operation: string,
    fence: Fence,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    return this.#database.run(operation, work, () => fence.check());
  }
}

const NIL_UUID = "00000000-0000-0000-0000-000000000000";
const GIVE_UP_AFTER = "24 hours";
/** Far beyond the deadline of a deletion, so that a claim cannot be taken twice while one is in flight. */
const CLAIM_FOR = "5 minutes";

function claim(db: Db, host: HostColumns, epoch: number, limit: number) {
  const due = db.$with("due").as(
    db
      .select({ id: verdicts.id })
      .from(verdicts)
      .where(
        and(
          eq(verdicts.cleanupState, "pending"),
          lte(verdicts.cleanupNextAt, sql`now()`),
          ourEpoch(epoch),
        ),
      )
      .orderBy(asc(verdicts.cleanupNextAt))
      .limit(limit)
      .for("update", { skipLocked: true }),
  );
  const kept = host.keepAlive ? sql`${automations.keepAlive} IS NOT TRUE` : sql`true`;
  // A late callback may have overturned a presumption; then its sandbox is the host's business again.
  const stillOurs = sql`EXISTS (
    SELECT FROM ${runs} LEFT JOIN ${automations} ON ${automations.id} = ${runs.automationId}
    WHERE ${runs.id} = ${verdicts.runId} AND ${runs.status} = 'FAILED'
      AND ${runs.errorDetail} LIKE 'Timed out: %'
      AND ${runs.sandboxId} IS NOT DISTINCT FROM ${verdicts.sandboxId} AND ${kept})`;
  return db
    .with(due)
    .update(verdicts)
    .set({
      cleanupAttempts: sql`${verdicts.cleanupAttempts} + 1`,
      cleanupNextAt: sql`now() + ${CLAIM_FOR}::interval`,
      cleanupState: sql`CASE WHEN ${verdicts.basis} = 'proof' OR ${stillOurs}
        THEN 'pending' ELSE 'none' END`,
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
      state: verdicts.cleanupState,
    });
}

function buildRecord(db: Db) {
  return recordStatement(db, false).prepare("watchdog_first_run");
}

function buildRecordAndTouch(db: Db) {
  return recordStatement(db, true).prepare("watchdog_first_run_touch");
}

/** `json` is compared and written as text: a cast to jsonb fails on \u0000. */
function recordStatement(db: Db, touch: boolean) {
  const target = db.$with("target").as(
    db
      .select({ id: automations.id })
      .from(automations)
      .where(
        and(
          eq(automations.id, hole("id")),
          sql`${automations.presetMetadata}::text = ${textHole("seen")}`,
          ourEpoch(hole("epoch")),
        ),
      )
      .for("no key update", { noWait: true }),
  );
  return db
    .with(target)
    .update(automations)
    .set({
      presetMetadata: jsonHole("metadata"),
      ...(touch ? { updatedAt: sql`now()` } : {}),
    })
    .from(target)
    .where(eq(automations.id, target.id))
    .returning({ id: automations.id });
}
