import { eq, sql } from "drizzle-orm";
import type { CleanupPlan } from "../../../rules/cleanup/cleanup-plan.ts";
import type { CleanupTask, FirstRunTask, Journal } from "../../../watchdog/journal-ports.ts";
import type { Fence } from "../../../watchdog/ports.ts";
import type { Connection } from "../connection/connection.ts";
import { RowBusyError, StatementRefusedError } from "../connection/errors.ts";
import type { Database } from "../database.ts";
import type { HostColumns } from "../host-tables.ts";
import { verdicts } from "../schema.ts";
import { adoptLateStatement, adoptStampsStatement } from "./cleanup-adoption.ts";
import { claimStatement } from "./cleanup-claim.ts";
import { doneStatement, failedStatement } from "./cleanup-end.ts";
import {
  buildRecordFirstRun,
  buildRecordFirstRunAndTouch,
  closeOverturnedStatement,
  firstRunDoneStatement,
  openFirstRunsStatement,
} from "./first-run-statements.ts";
import { pruneStatement } from "./journal-pruning.ts";

/** What is still to be done about ended runs: sandboxes to delete, first outcomes to record. */
export class PostgresJournal implements Journal {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    while (true) {
      const rows = await this.#stamping("claiming clean-ups", fence, ({ db }, host) =>
        claimStatement(db, host, fence.epoch, limit),
      );
      const tasks = rows.flatMap(({ fate, sandboxId, untilDueMs, ...task }) => {
        if (sandboxId === null || (fate !== "claimed" && fate !== "paused")) return [];
        const pauseWithinMs = fate === "paused" ? Number(untilDueMs) : null;
        return [{ ...task, sandboxId, pauseWithinMs }];
      });
      // A batch of nothing but spared, settled and postponed ones must not hide what is due behind it.
      if (tasks.length > 0 || rows.length === 0) return tasks;
    }
  }

  async cleanupDone(id: number, note: string | null, fence: Fence): Promise<void> {
    await this.#stamping("noting a clean-up", fence, ({ db }, host) =>
      doneStatement(db, host, id, note, fence.epoch),
    );
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const [row] = await this.#stamping("noting a failed clean-up", fence, ({ db }, host) =>
      failedStatement(db, host, id, error, retryInMs, fence.epoch),
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

  async adoptLateSandboxes(plan: CleanupPlan, fence: Fence): Promise<number> {
    const rows = await this.#stamping("looking for late sandboxes", fence, ({ db }, host) =>
      adoptLateStatement(db, host, plan, fence.epoch),
    );
    return rows.length;
  }

  async adoptOverdueStamps(limit: number, fence: Fence): Promise<number> {
    const host = await this.#database.columns();
    if (!host.sandboxCleanupDueAt) return 0;
    const rows = await this.#fenced("looking for overdue stamps", fence, ({ db }) =>
      adoptStampsStatement(db, host, limit, fence.epoch),
    );
    return rows.length;
  }

  async prune(olderThanMs: number, limit: number, fence: Fence): Promise<number> {
    const rows = await this.#fenced("pruning the journal", fence, ({ db }) =>
      pruneStatement(db, olderThanMs, limit, fence.epoch),
    );
    return rows.length;
  }

  /** Something of the host's that refuses a change of a finished row costs its stamp, and not the clean-up. */
  async #stamping<T>(
    operation: string,
    fence: Fence,
    work: (connection: Connection, host: HostColumns) => Promise<T>,
  ): Promise<T> {
    const host = await this.#database.columns();
    const run = (shape: HostColumns) =>
      this.#fenced(operation, fence, (connection) => work(connection, shape));
    try {
      return await run(host);
    } catch (error) {
      if (!(host.sandboxCleanupDueAt && error instanceof StatementRefusedError)) throw error;
      return await run({ ...host, sandboxCleanupDueAt: false });
    }
  }

  #fenced<T>(
    operation: string,
    fence: Fence,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    return this.#database.run(operation, work, () => fence.check());
  }
}
