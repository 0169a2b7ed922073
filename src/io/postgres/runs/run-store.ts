import type { RunSnapshot } from "../../../rules/model.ts";
import { NOBODY_WAITS, type Waiting } from "../../../rules/report.ts";
import type { Fence, RunIdName } from "../../../watchdog/ports.ts";
import type {
  Backlog,
  DeferWrite,
  FailedRun,
  GuardFacts,
  Horizon,
  PageCursor,
  RunStore,
  SkippedDeferral,
  StalePage,
  StaleQuery,
  TerminalWrite,
  WriteFacts,
  WriteResult,
} from "../../../watchdog/store-ports.ts";
import { RowBusyError, StatementRefusedError } from "../connection/errors.ts";
import type { Statement, Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { NIL_UUID, type ShardFenced } from "../sql.ts";
import { APPLY, applyParams } from "./apply.ts";
import { DEFER } from "./defer.ts";
import { DEFER_SKIPPED } from "./defer-skipped.ts";
import { BACKLOG, GUARD_FACTS } from "./fleet-reads.ts";
import type { QueryParams } from "./run-conditions.ts";
import { DROP_SUSPICIONS, NOTE_ERROR } from "./run-notes.ts";
import { PAGE_WITHOUT_DEADLINE, partParams, STALE_PAGE, SUSPECTED_PAGE } from "./run-pages.ts";
import { SharedReads } from "./shared-reads.ts";
import { CONTROL_RUNS, READ, toSnapshot } from "./snapshots.ts";
import { WAITING } from "./waiting.ts";
import { guardParams, WRITE_FACTS } from "./write-facts.ts";

const URGENT = true;

/** Stale runs, what is remembered of them, and the guarded writes to them. Each method is one autocommit statement. */
export class PostgresRunStore implements RunStore {
  readonly #database: Database;
  readonly #reads = new SharedReads((ids, query) => this.#readAll(ids, query));

  constructor(database: Database) {
    this.#database = database;
  }

  async backlog(query: StaleQuery): Promise<Backlog> {
    const [row] = await this.#database.scan("counting stale runs", BACKLOG, queryParams(query));
    return row ?? { count: 0, deferred: 0, held: 0, failing: 0, oldestOverdueMs: null };
  }

  async waiting(after?: Horizon): Promise<Waiting> {
    const params = { after: after?.text ?? null };
    const [row] = await this.#database.scan("counting waiting runs", WAITING, params);
    return row ?? NOBODY_WAITS;
  }

  async stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage> {
    const { part = null } = query;
    const params = {
      ...queryParams(query),
      ...partParams(part),
      afterId: cursor?.id ?? NIL_UUID,
      limit,
    };
    switch (cursor?.part) {
      case undefined:
      case "due": {
        const due = { ...params, afterAt: cursor?.dueAt ?? "-infinity" };
        const rows = await this.#database.scan("reading stale runs", STALE_PAGE(part), due);
        const then: PageCursor = { part: "no-deadline", id: null };
        return pageOf(rows, limit, then, ({ dueAt, id }) => ({ part: "due", dueAt, id }));
      }
      case "no-deadline": {
        const what = "reading runs without a deadline";
        const rows = await this.#database.scan(what, PAGE_WITHOUT_DEADLINE(part), params);
        const then = query.includeSuspected ? ({ part: "suspected", id: null } as const) : null;
        return pageOf(rows, limit, then, ({ id }) => ({ part: "no-deadline", id }));
      }
      case "suspected": {
        const suspected = SUSPECTED_PAGE(part);
        const rows = await this.#database.scan("reading suspected runs", suspected, params);
        return pageOf(rows, limit, null, ({ id }) => ({ part: "suspected", id }));
      }
    }
  }

  read(runId: string, query: StaleQuery): Promise<RunSnapshot | null> {
    return this.#reads.read(runId, query);
  }

  async guardFacts(confirmations: number, othersWithinMs = 0): Promise<GuardFacts> {
    const what = "reading what the guard must know";
    const [row] = await this.#run(what, GUARD_FACTS, { confirmations, othersWithinMs });
    if (row === undefined) throw new Error("asking for the guard's facts returned nothing");
    return row;
  }

  async controlRuns(
    query: StaleQuery,
    needs: readonly RunIdName[],
    limit: number,
  ): Promise<readonly RunSnapshot[]> {
    const controlRuns = CONTROL_RUNS(await this.#database.columns());
    const rows = await this.#database.scan("reading runs that should be alive", controlRuns, {
      ...queryParams(query),
      needsSandboxId: needs.includes("sandboxId"),
      needsBashCommandId: needs.includes("bashCommandId"),
      limit,
    });
    return rows.map(toSnapshot);
  }

  async apply(write: TerminalWrite, fence: Fence): Promise<WriteResult> {
    const apply = APPLY(fence)(write.run)(await this.#database.columns());
    return this.#write("ending a run", apply, applyParams(write, fence), fence);
  }

  async defer({ run, suspicion, ...write }: DeferWrite, fence: Fence): Promise<WriteResult> {
    const defer = DEFER(fence)(await this.#database.columns());
    const params = { ...guardParams(run, fence), ...write, ...suspicion };
    return this.#write("deferring a run", defer, params, fence);
  }

  async deferSkipped(
    runIds: readonly string[],
    query: StaleQuery,
    { deferMs, shieldMs, causes = {} }: SkippedDeferral,
    fence: Fence,
  ): Promise<void> {
    const ids = `{${runIds.join(",")}}`;
    const { shard, epoch } = fence;
    const params = {
      ...queryParams(query),
      ids,
      deferMs,
      shieldMs,
      shard,
      epoch,
      causes: JSON.stringify(causes),
    };
    try {
      const what = "deferring runs that were not asked about";
      await this.#note(what, DEFER_SKIPPED(fence), params, fence);
    } catch (error) {
      // One row that cannot be written must not stop the others: all stay stale, and its own trouble shows when asked.
      if (!(error instanceof StatementRefusedError)) throw error;
    }
  }

  async noteError({ runId, cause, retryInMs }: FailedRun, fence: Fence): Promise<void> {
    const { shard, epoch } = fence;
    const params = { id: runId, cause, retryInMs, shard, epoch };
    await this.#note("noting a failure", NOTE_ERROR(fence), params, fence);
  }

  async dropSuspicions(fence: Fence): Promise<number> {
    const { shard, epoch } = fence;
    const drop = DROP_SUSPICIONS(fence);
    const [row] = await this.#note("forgetting ended runs", drop, { shard, epoch }, fence);
    return row?.count ?? 0;
  }

  async facts(run: RunSnapshot, of: ShardFenced): Promise<WriteFacts> {
    const params = guardParams(run, of);
    const [row] = await this.#run("asking what became of a write", WRITE_FACTS(of), params);
    return row ?? { journaled: false, epochIsOurs: false, rowMatches: false };
  }

  async #readAll(
    ids: readonly string[],
    query: StaleQuery,
  ): Promise<readonly (RunSnapshot | null)[]> {
    const read = READ(await this.#database.columns());
    const params = { ...queryParams(query), ids: `{${ids.join(",")}}` };
    // Behind a wave of writes they would let all their runs begin together, and make the next wave.
    const rows = await this.#database.query("reading a run", read, params, undefined, URGENT);
    return rows.map((row) => (row.id === null ? null : toSnapshot(row)));
  }

  async #write<P extends Values<P>>(
    operation: string,
    statement: Statement<P, object>,
    params: P,
    fence: Fence,
  ): Promise<WriteResult> {
    try {
      const check = () => fence.check();
      const rows = await this.#database.query(operation, statement, params, check);
      return rows.length === 1 ? { kind: "written" } : { kind: "none" };
    } catch (error) {
      if (error instanceof RowBusyError) return { kind: "busy" };
      if (error instanceof StatementRefusedError) return { kind: "refused", cause: error.message };
      throw error;
    }
  }

  /** Nothing depends on a note: where somebody else is writing the same rows, they are left to them. */
  async #note<P extends Values<P>, Row extends object>(
    operation: string,
    statement: Statement<P, Row>,
    params: P,
    fence: Fence,
  ): Promise<readonly Row[]> {
    try {
      return await this.#run(operation, statement, params, () => fence.check());
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      return [];
    }
  }

  /** Knows what the tables have, so that whatever is missing is said at once. */
  async #run<P extends Values<P>, Row extends object>(
    operation: string,
    statement: Statement<P, Row>,
    params: P,
    check?: () => void,
  ): Promise<readonly Row[]> {
    await this.#database.columns();
    return this.#database.query(operation, statement, params, check);
  }
}

function queryParams({ horizon, nullDeadlineAfterMs, includeSuspected }: StaleQuery): QueryParams {
  return { horizon: horizon.text, nullDeadlineAfterMs, includeSuspected };
}

/** A page that is not full is the last one of its part. */
function pageOf<Row extends { readonly id: string }>(
  rows: readonly Row[],
  limit: number,
  nextPart: PageCursor | null,
  cursorAt: (last: Row) => PageCursor,
): StalePage {
  const last = rows.at(-1);
  const isLastPage = last === undefined || rows.length < limit;
  return { ids: rows.map(({ id }) => id), next: isLastPage ? nextPart : cursorAt(last) };
}
