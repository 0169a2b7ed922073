import type { Pause } from "../../../rules/fleet/pause.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../watchdog/errors.ts";
import type {
  Fleet,
  PauseRequest,
  SeenWorker,
  WorkerIntroduction,
} from "../../../watchdog/fleet-ports.ts";
import type { Fence } from "../../../watchdog/ports.ts";
import { RowBusyError } from "../connection/errors.ts";
import type { Statement, Values } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { NO_ROW } from "../leadership/leadership.ts";
import { epochOfFirst, toMillis } from "../sql.ts";
import { FORGET_WORKERS, LEFT, PAUSE, RESUME, SEEN, WORKERS } from "./fleet-statements.ts";

/** What all workers of an installation are told, and who they are. Each method is one autocommit statement. */
export class PostgresFleet implements Fleet {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async pause(request: PauseRequest): Promise<Pause> {
    const [row] = await this.#query("pausing", PAUSE, request);
    if (row === undefined) throw new StoreSchemaError(NO_ROW);
    return row.pause;
  }

  async resume(by: string): Promise<Pause | null> {
    const [row] = await this.#query("ending the pause", RESUME, { by });
    return row?.pause ?? null;
  }

  async seen(worker: WorkerIntroduction): Promise<void> {
    if (!(await this.#database.listsWorkers())) return;
    await this.#query("listing this worker", SEEN, worker);
  }

  async left(holder: string): Promise<void> {
    if (!(await this.#database.listsWorkers())) return;
    await this.#query("taking this worker from the list", LEFT, { holder });
  }

  async workers(): Promise<readonly SeenWorker[]> {
    const rows = await this.#query("reading which workers there are", WORKERS, {});
    return rows.map(({ leaseKind, upMs, seenAgoMs, ...row }) => ({
      ...row,
      leaseKind: leaseKind === "redis" ? "redis" : "postgres",
      upMs: toMillis(upMs) ?? 0,
      seenAgoMs: toMillis(seenAgoMs) ?? 0,
    }));
  }

  async forgetWorkers(notSeenForMs: number, fence: Fence): Promise<number> {
    if (!(await this.#database.listsWorkers())) return 0;
    const params = { notSeenForMs, epoch: epochOfFirst(fence) };
    const what = "forgetting workers that are gone";
    return (await this.#query(what, FORGET_WORKERS, params, () => fence.check())).length;
  }

  /** Where statements do not wait for each other (repeatable read), the one that lost did nothing. */
  async #query<P extends Values<P>, Row extends object>(
    operation: string,
    statement: Statement<P, Row>,
    params: P,
    check?: () => void,
  ): Promise<readonly Row[]> {
    try {
      return await this.#database.query(operation, statement, params, check);
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      throw new StoreUnavailableError(error.message, { cause: error });
    }
  }
}
