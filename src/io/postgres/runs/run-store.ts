import type { RunSnapshot } from "../../../rules/model.ts";
import type { Fence, RunIdName } from "../../../watchdog/ports.ts";
import type {
  Backlog,
  Deferral,
  DeferWrite,
  FailedRun,
  GuardFacts,
  PageCursor,
  RunStore,
  StalePage,
  StaleQuery,
  TerminalWrite,
  WriteFacts,
  WriteResult,
} from "../../../watchdog/store-ports.ts";
import type { Connection } from "../connection/connection.ts";
import { RowBusyError, StatementRefusedError } from "../connection/errors.ts";
import type { Database } from "../database.ts";
import type { HostColumns } from "../host-tables.ts";
import { toMillis } from "../sql.ts";
import { type RunStatements, runStatements } from "./run-statements.ts";
import {
  arrayText,
  deferValues,
  guardValues,
  NIL_UUID,
  queryValues,
  terminalValues,
  toSnapshot,
} from "./run-values.ts";

/** Stale runs, what is remembered of them, and the guarded writes to them. Each method is one autocommit statement. */
export class PostgresRunStore implements RunStore {
  readonly #database: Database;
  #statements: { readonly host: HostColumns; readonly built: RunStatements } | null = null;

  constructor(database: Database) {
    this.#database = database;
  }

  async backlog(query: StaleQuery): Promise<Backlog> {
    const { backlog } = await this.#current();
    const [row] = await this.#database.scan("counting stale runs", (connection) =>
      connection.prepared(backlog).execute(queryValues(query)),
    );
    return {
      count: Number(row?.count ?? 0),
      deferred: Number(row?.deferred ?? 0),
      held: Number(row?.held ?? 0),
      failing: Number(row?.failing ?? 0),
      oldestOverdueMs: toMillis(row?.oldestOverdueMs ?? null),
    };
  }

  async stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage> {
    switch (cursor?.part) {
      case undefined:
        return this.#pageOfDue(query, { dueAt: "-infinity", id: NIL_UUID }, limit);
      case "due":
        return this.#pageOfDue(query, cursor, limit);
      case "no-deadline":
        return this.#pageWithoutDeadline(query, cursor.id, limit);
      case "suspected":
        return this.#pageOfSuspected(query, cursor.id, limit);
    }
  }

  async #pageOfDue(
    query: StaleQuery,
    after: { readonly dueAt: string; readonly id: string },
    limit: number,
  ): Promise<StalePage> {
    const { stalePage } = await this.#current();
    const rows = await this.#database.scan("reading stale runs", (connection) =>
      connection.prepared(stalePage).execute({
        ...queryValues(query),
        afterAt: after.dueAt,
        afterId: after.id,
        limit,
      }),
    );
    return pageOf(rows, limit, { part: "no-deadline", id: null }, ({ dueAt, id }) => ({
      part: "due",
      dueAt,
      id,
    }));
  }

  async #pageWithoutDeadline(
    query: StaleQuery,
    afterId: string | null,
    limit: number,
  ): Promise<StalePage> {
    const { pageWithoutDeadline } = await this.#current();
    const values = { ...queryValues(query), afterId: afterId ?? NIL_UUID, limit };
    const rows = await this.#database.scan("reading runs without a deadline", (connection) =>
      connection.prepared(pageWithoutDeadline).execute(values),
    );
    const then: PageCursor | null = query.includeSuspected ? { part: "suspected", id: null } : null;
    return pageOf(rows, limit, then, ({ id }) => ({ part: "no-deadline", id }));
  }

  async #pageOfSuspected(
    query: StaleQuery,
    afterId: string | null,
    limit: number,
  ): Promise<StalePage> {
    const { suspectedPage } = await this.#current();
    const values = { ...queryValues(query), afterId: afterId ?? NIL_UUID, limit };
    const rows = await this.#database.scan("reading suspected runs", (connection) =>
      connection.prepared(suspectedPage).execute(values),
    );
    return pageOf(rows, limit, null, ({ id }) => ({ part: "suspected", id }));
  }

  async read(runId: string, query: StaleQuery): Promise<RunSnapshot | null> {
    const { read } = await this.#current();
    const [row] = await this.#database.run("reading a run", (connection) =>
      connection.prepared(read).execute({ ...queryValues(query), id: runId }),
    );
    return row === undefined ? null : toSnapshot(row);
  }

  async guardFacts(confirmations: number): Promise<GuardFacts> {
    const { guardFacts } = await this.#current();
    const [row] = await this.#database.run("reading what the guard must know", (connection) =>
      connection.prepared(guardFacts).execute({ confirmations }),
    );
    return {
      confirmable: row?.confirmable ?? [],
      presumedLastHour: Number(row?.presumedLastHour ?? 0),
      provenLastHour: Number(row?.provenLastHour ?? 0),
      lastAnswered: Number(row?.lastAnswered ?? 0),
    };
  }

  async controlRuns(
    query: StaleQuery,
    needs: readonly RunIdName[],
    limit: number,
  ): Promise<readonly RunSnapshot[]> {
    const { controlRuns } = await this.#current();
    const needed = {
      sandboxId: needs.includes("sandboxId"),
      bashCommandId: needs.includes("bashCommandId"),
    };
    const rows = await this.#database.scan("reading runs that should be alive", (connection) =>
      connection.prepared(controlRuns).execute({ ...queryValues(query), ...needed, limit }),
    );
    return rows.map(toSnapshot);
  }

  async apply(write: TerminalWrite, fence: Fence): Promise<WriteResult> {
    const { apply } = await this.#current();
    const values = { ...guardValues(write.run, fence), ...terminalValues(write) };
    return this.#write("ending a run", fence, (connection) =>
      connection.prepared(apply).execute(values),
    );
  }

  async defer(write: DeferWrite, fence: Fence): Promise<WriteResult> {
    const { defer } = await this.#current();
    const values = { ...guardValues(write.run, fence), ...deferValues(write) };
    return this.#write("deferring a run", fence, (connection) =>
      connection.prepared(defer).execute(values),
    );
  }

  async deferSkipped(
    runIds: readonly string[],
    query: StaleQuery,
    { deferMs, shieldMs }: Deferral,
    fence: Fence,
  ): Promise<void> {
    const { deferSkipped } = await this.#current();
    const ids = arrayText(runIds);
    const values = { ...queryValues(query), ids, deferMs, shieldMs, epoch: fence.epoch };
    try {
      await this.#note("deferring runs that were not asked about", fence, (connection) =>
        connection.prepared(deferSkipped).execute(values),
      );
    } catch (error) {
      // One row that cannot be written must not stop the others: all stay stale, and its own trouble shows when asked.
      if (!(error instanceof StatementRefusedError)) throw error;
    }
  }

  async noteError({ runId, cause, retryInMs }: FailedRun, fence: Fence): Promise<void> {
    const { noteError } = await this.#current();
    const values = { id: runId, cause, retryInMs, epoch: fence.epoch };
    await this.#note("noting a failure", fence, (connection) =>
      connection.prepared(noteError).execute(values),
    );
  }

  async dropSuspicions(fence: Fence): Promise<number> {
    const { dropSuspicions } = await this.#current();
    const rows = await this.#note("forgetting ended runs", fence, (connection) =>
      connection.prepared(dropSuspicions).execute({ epoch: fence.epoch }),
    );
    return Number(rows?.[0]?.count ?? 0);
  }

  async facts(run: RunSnapshot, epoch: number): Promise<WriteFacts> {
    const { facts } = await this.#current();
    const [row] = await this.#database.run("asking what became of a write", (connection) =>
      connection.prepared(facts).execute(guardValues(run, { epoch })),
    );
    return row ?? { journaled: false, epochIsOurs: false, rowMatches: false };
  }

  async #write(
    operation: string,
    fence: Fence,
    work: (connection: Connection) => Promise<readonly unknown[]>,
  ): Promise<WriteResult> {
    try {
      const rows = await this.#database.run(operation, work, () => fence.check());
      return rows.length === 1 ? { kind: "written" } : { kind: "none" };
    } catch (error) {
      if (error instanceof RowBusyError) return { kind: "busy" };
      if (error instanceof StatementRefusedError) return { kind: "refused", cause: error.message };
      throw error;
    }
  }

  /** Nothing depends on a note: where somebody else is writing the same rows, they are left to them. */
  async #note<T>(
    operation: string,
    fence: Fence,
    work: (connection: Connection) => Promise<T>,
  ): Promise<T | null> {
    try {
      return await this.#database.run(operation, work, () => fence.check());
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      return null;
    }
  }

  async #current(): Promise<RunStatements> {
    const host = await this.#database.columns();
    if (this.#statements?.host !== host) this.#statements = { host, built: runStatements(host) };
    return this.#statements.built;
  }
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
