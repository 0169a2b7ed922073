import { eq, sql } from "drizzle-orm";
import type { Fence } from "../../watchdog/ports.ts";
import type { CleanupTask, FirstRunTask, Journal } from "../../watchdog/store-ports.ts";
import {
  adoptStatement,
  claimStatement,
  doneStatement,
  failedStatement,
  pruneStatement,
} from "./cleanup-statements.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { RowBusyError } from "./errors.ts";
import {
  buildRecordFirstRun,
  buildRecordFirstRunAndTouch,
  closeOverturnedStatement,
  firstRunDoneStatement,
  openFirstRunsStatement,
} from "./first-run-statements.ts";
import { verdicts } from "./schema.ts";

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
        claimStatement(db, host, fence.epoch, limit),
      );
      const tasks = rows.flatMap(({ fate, sandboxId, ...task }) =>
        fate === "claimed" && sandboxId !== null ? [{ ...task, sandboxId }] : [],
      );
      // A batch of nothing but spared and postponed ones must not hide what is due behind it.
      if (tasks.length > 0 || rows.length === 0) return tasks;
    }
  }

  async cleanupDone(id: number, note: string | null, fence: Fence): Promise<void> {
    await this.#fenced("noting a clean-up", fence, ({ db }) =>
      doneStatement(db, id, note, fence.epoch),
    );
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const [row] = await this.#fenced("noting a failed clean-up", fence, ({ db }) =>
      failedStatement(db, id, error, retryInMs, fence.epoch),
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
    presumedForMs: number,
  ): Promise<readonly FirstRunTask[]> {
    const host = await this.#database.columns();
    if (!host.presetMetadata) return [];
    const rows = await this.#database.run("reading first runs", ({ db }) =>
      openFirstRunsStatement(db, afterAutomation, limit, presumedForMs),
    );
    return rows.flatMap(({ automationId, ...task }) =>
      automationId === null ? [] : [{ ...task, automationId }],
    );
  }

  async recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean> {
    const host = await this.#database.columns();
    const build = host.updatedAt ? buildRecordFirstRunAndTouch : buildRecordFirstRun;
    try {
      const rows = await this.#fenced("recording a first run", fence, (connection) =>
        connection.prepared(build).execute({
          id: task.automationId,
          runId: task.runId,
          basis: task.basis,
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

  async closeOverturnedFirstRuns(fence: Fence): Promise<number> {
    const rows = await this.#fenced("closing overturned first runs", fence, ({ db }) =>
      closeOverturnedStatement(db, fence.epoch),
    );
    return rows.length;
  }

  async firstRunDone(automationId: string, fence: Fence): Promise<void> {
    await this.#fenced("closing a first run", fence, ({ db }) =>
      firstRunDoneStatement(db, automationId, fence.epoch),
    );
  }

  async adoptLateSandboxes(delayMs: number, fence: Fence): Promise<number> {
    const host = await this.#database.columns();
    const rows = await this.#fenced("looking for late sandboxes", fence, ({ db }) =>
      adoptStatement(db, host, delayMs, fence.epoch),
    );
    return rows.length;
  }

  async prune(olderThanMs: number, limit: number, fence: Fence): Promise<number> {
    const rows = await this.#fenced("pruning the journal", fence, ({ db }) =>
      pruneStatement(db, olderThanMs, limit, fence.epoch),
    );
    return rows.length;
  }

  #fenced<T>(
    operation: string,
    fence: Fence,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    return this.#database.run(operation, work, () => fence.check());
  }
}
