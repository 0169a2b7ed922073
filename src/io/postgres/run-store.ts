import type { RunSnapshot } from "../../rules/model.ts";
import type {
  Backlog,
  DeferWrite,
  Fence,
  PageCursor,
  RunStore,
  StalePage,
  StaleQuery,
  TerminalWrite,
  WriteFacts,
  WriteResult,
} from "../../watchdog/ports.ts";
import type { Connection } from "./connection.ts";
import type { Database } from "./database.ts";
import { RowBusyError, StatementRefusedError } from "./errors.ts";
import type { HostColumns } from "./host-tables.ts";
import { type RunStatements, runStatements } from "./run-statements.ts";

/** Stale runs and the guarded writes to them. Each method is exactly one autocommit statement. */
export class PostgresRunStore implements RunStore {
  readonly #database: Database;
  #statements: { readonly host: HostColumns; readonly built: RunStatements } | null = null;

  constructor(database: Database) {
    this.#database = database;
  }

  async backlog(query: StaleQuery): Promise<Backlog> {
    const { backlog } = await this.#current();
    const [row] = await this.#database.run("counting stale runs", (connection) =>
      connection.prepared(backlog).execute({
        horizon: query.horizon.text,
        nullDeadlineAfterMs: query.nullDeadlineAfterMs,
      }),
    );
    const oldestMs = row?.oldestOverdueMs ?? null;
    return {
      count: Number(row?.count ?? 0),
      oldestOverdueMs: oldestMs === null ? null : Math.trunc(Number(oldestMs)),
    };
  }

  async stalePage(query: StaleQuery, cursor: PageCursor | null, limit: number): Promise<StalePage> {
    if (cursor?.part === "no-deadline") return this.#pageWithoutDeadline(query, cursor.id, limit);
    const { stalePage } = await this.#current();
    const rows = await this.#database.run("reading stale runs", (connection) =>
      connection.prepared(stalePage).execute({
        horizon: query.horizon.text,
        afterAt: cursor?.timeoutAt ?? "-infinity",
        afterId: cursor?.id ?? NIL_UUID,
        limit,
      }),
    );
    const last = rows.at(-1);
    const isLastPage = last === undefined || rows.length < limit;
    return {
      ids: rows.map((row) => row.id),
      next: isLastPage
        ? { part: "no-deadline", id: null }
        : { part: "deadline", timeoutAt: last.timeoutAt, id: last.id },
    };
  }

  async #pageWithoutDeadline(
    query: StaleQuery,
    afterId: string | null,
    limit: number,
  ): Promise<StalePage> {
    const { pageWithoutDeadline } = await this.#current();
    const rows = await this.#database.run("reading runs without a deadline", (connection) =>
      connection.prepared(pageWithoutDeadline).execute({
        horizon: query.horizon.text,
        nullDeadlineAfterMs: query.nullDeadlineAfterMs,
        afterId: afterId ?? NIL_UUID,
        limit,
      }),
    );
    const last = rows.at(-1);
    const isLastPage = last === undefined || rows.length < limit;
    return {
      ids: rows.map((row) => row.id),
      next: isLastPage ? null : { part: "no-deadline", id: last.id },
    };
  }

  async read(runId: string, query: StaleQuery): Promise<RunSnapshot | null> {
    const { read } = await this.#current();
    const [row] = await this.#database.run("reading a run", (connection) =>
      connection.prepared(read).execute({
        id: runId,
        horizon: query.horizon.text,
        nullDeadlineAfterMs: query.nullDeadlineAfterMs,
      }),
    );
    if (row === undefined) return null;
    return {
      ...row,
      stale: row.stale === true,
      beganAtMs: Number(row.beganAtMs),
      keepAlive: row.keepAlive === true,
      firstRunOpen: row.firstRunOpen === true,
      statusDetail: parseJson(row.statusDetail),
    };
  }

  async apply(write: TerminalWrite, fence: Fence): Promise<WriteResult> {
    const { apply } = await this.#current();
    const { run, verdict } = write;
    const hasSandbox = run.sandboxId !== null && run.sandboxId !== "";
    const cleans = write.cleanupInMs !== null && hasSandbox && !run.keepAlive;
    const failed = verdict.kind === "fail" ? verdict : null;
    return this.#write("ending a run", fence, (connection) =>
      connection.prepared(apply).execute({
        ...guardValues(run, fence),
        status: failed === null ? "COMPLETED" : "FAILED",
        errorDetail: failed?.errorDetail ?? null,
        statusDetail: failed?.statusDetail ?? "null",
        automationId: run.automationId,
        userId: run.userId,
        orgId: run.orgId,
        holder: write.holder,
        trigger: write.trigger,
        basis: verdict.basis,
        reason: verdict.reason,
        evidence: JSON.stringify(write.evidence),
        cleanupState: cleans ? "pending" : "none",
        cleanupInMs: cleans ? write.cleanupInMs : null,
        firstRunState: run.firstRunOpen ? "pending" : "none",
      }),
    );
  }

  async defer(write: DeferWrite, fence: Fence): Promise<WriteResult> {
    const { defer } = await this.#current();
    return this.#write("deferring a run", fence, (connection) =>
      connection.prepared(defer).execute({
        ...guardValues(write.run, fence),
        deferMs: write.deferMs,
        notAfterMs: write.notAfterMs,
        statusDetail: write.statusDetail ?? "null",
      }),
    );
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

  async #current(): Promise<RunStatements> {
    const host = await this.#database.columns();
    if (this.#statements?.host !== host) this.#statements = { host, built: runStatements(host) };
    return this.#statements.built;
  }
}

const NIL_UUID = "00000000-0000-0000-0000-000000000000";

function guardValues(run: RunSnapshot, fence: { readonly epoch: number }) {
  return {
    id: run.id,
    timeoutAt: run.timeoutAt,
    sandboxId: run.sandboxId,
    bashCommandId: run.bashCommandId,
    epoch: fence.epoch,
  };
}

/** The host's column may hold anything json allows; what cannot be parsed counts as nothing. */
function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
