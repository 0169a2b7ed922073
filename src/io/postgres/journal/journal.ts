import type { CleanupPlan } from "../../../rules/cleanup/cleanup-plan.ts";
import type {
  CleanupTask,
  FirstRunTask,
  Journal,
  OverturnedVerdict,
} from "../../../watchdog/journal-ports.ts";
import type { Fence } from "../../../watchdog/ports.ts";
import { RowBusyError, StatementRefusedError } from "../connection/errors.ts";
import { type Statement, statement, type Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import type { HostColumns } from "../host-schema.ts";
import { epochOfFirst, type Fenced, NIL_UUID } from "../sql.ts";
import { ADOPT_LATE, ADOPT_OVERDUE } from "./adopt.ts";
import { CLAIM } from "./claim.ts";
import { DONE, FAILED } from "./end-cleanup.ts";
import {
  CLOSE_OVERTURNED,
  FIRST_RUN_DONE,
  OPEN_FIRST_RUNS,
  RECORD_FIRST_RUN,
} from "./first-runs.ts";
import { MARK_OVERTURNED } from "./overturned.ts";
import { PRUNE } from "./prune.ts";

const COUNT_PENDING = statement<Record<never, never>, { readonly count: number }>(`
  SELECT count(*) AS count FROM watchdog.verdicts WHERE cleanup_state = 'pending'`);

/** What is still to be done about ended runs: sandboxes to delete, first outcomes to record. */
export class PostgresJournal implements Journal {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async claimCleanups(fence: Fence, limit: number): Promise<readonly CleanupTask[]> {
    while (true) {
      const rows = await this.#stamping("claiming clean-ups", fence, CLAIM, { limit });
      const tasks = rows.flatMap(({ outcome, sandboxId, untilDueMs, ...task }) => {
        if (sandboxId === null || (outcome !== "claimed" && outcome !== "paused")) return [];
        return [{ ...task, sandboxId, pauseWithinMs: outcome === "paused" ? untilDueMs : null }];
      });
      // A batch of nothing but spared, settled and postponed ones must not hide what is due behind it.
      if (tasks.length > 0 || rows.length === 0) return tasks;
    }
  }

  async cleanupDone(id: number, note: string | null, fence: Fence): Promise<void> {
    await this.#stamping("noting a clean-up", fence, DONE, { id, note });
  }

  async cleanupFailed(
    id: number,
    error: string,
    retryInMs: number,
    fence: Fence,
  ): Promise<"pending" | "abandoned"> {
    const params = { id, error, retryInMs };
    const [row] = await this.#stamping("noting a failed clean-up", fence, FAILED, params);
    return row?.state ?? "pending";
  }

  async pendingCleanups(): Promise<number> {
    const [row] = await this.#database.query("counting clean-ups", COUNT_PENDING, {});
    return row?.count ?? 0;
  }

  async openFirstRuns(
    afterAutomation: string | null,
    limit: number,
    presumedForMs: number,
  ): Promise<readonly FirstRunTask[]> {
    const host = await this.#database.columns();
    if (!host.presetMetadata) return [];
    const params = { afterAutomation: afterAutomation ?? NIL_UUID, limit, presumedForMs };
    return await this.#database.query("reading first runs", OPEN_FIRST_RUNS, params);
  }

  async recordFirstRun(task: FirstRunTask, metadata: string, fence: Fence): Promise<boolean> {
    const host = await this.#database.columns();
    const record = RECORD_FIRST_RUN(host);
    const params = { ...task, seen: task.metadata, metadata };
    try {
      return (await this.#fenced("recording a first run", fence, record, params)).length === 1;
    } catch (error) {
      if (error instanceof RowBusyError) return false;
      throw error;
    }
  }

  async closeOverturnedFirstRuns(fence: Fence): Promise<number> {
    const operation = "closing overturned first runs";
    return (await this.#fenced(operation, fence, CLOSE_OVERTURNED, {})).length;
  }

  async firstRunDone(automationId: string, fence: Fence): Promise<void> {
    await this.#fenced("closing a first run", fence, FIRST_RUN_DONE, { automationId });
  }

  async adoptLateSandboxes(plan: CleanupPlan, fence: Fence): Promise<number> {
    const adopt = ({ keepAlive, sandboxCleanupDueAt }: HostColumns) =>
      ADOPT_LATE({ keepAlive, stamps: sandboxCleanupDueAt && plan.deletionInMs !== null });
    return (await this.#stamping("looking for late sandboxes", fence, adopt, plan)).length;
  }

  async adoptOverdueStamps(limit: number, fence: Fence): Promise<number> {
    const host = await this.#database.columns();
    if (!host.sandboxCleanupDueAt) return 0;
    const adopt = ADOPT_OVERDUE(host);
    return (await this.#fenced("looking for overdue stamps", fence, adopt, { limit })).length;
  }

  markOverturned(
    withinMs: number,
    limit: number,
    fence: Fence,
  ): Promise<readonly OverturnedVerdict[]> {
    const params = { withinMs, limit };
    return this.#fenced("noting overturned verdicts", fence, MARK_OVERTURNED, params);
  }

  async prune(olderThanMs: number, limit: number, fence: Fence): Promise<number> {
    return (await this.#fenced("pruning the journal", fence, PRUNE, { olderThanMs, limit })).length;
  }

  /** Something of the host's that refuses a change of a finished row costs its stamp, and not the clean-up. */
  async #stamping<Params extends Values<Params>, Row extends object>(
    operation: string,
    fence: Fence,
    statementFor: (host: HostColumns) => Statement<Params & Fenced, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    const host = await this.#database.columns();
    try {
      return await this.#fenced(operation, fence, statementFor(host), params);
    } catch (error) {
      if (!(host.sandboxCleanupDueAt && error instanceof StatementRefusedError)) throw error;
      const unstamped = statementFor({ ...host, sandboxCleanupDueAt: false });
      return await this.#fenced(operation, fence, unstamped, params);
    }
  }

  #fenced<Params extends Values<Params>, Row extends object>(
    operation: string,
    fence: Fence,
    statement: Statement<Params & Fenced, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    const fenced = { ...params, epoch: epochOfFirst(fence) };
    return this.#database.query(operation, statement, fenced, () => fence.check());
  }
}
