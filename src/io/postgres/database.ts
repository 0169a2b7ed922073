import { isDeepStrictEqual } from "node:util";
import { StoreSchemaError, StoreUnavailableError } from "../../watchdog/errors.ts";
import type { Log } from "../../watchdog/ports.ts";
import type { Connection } from "./connection/connection.ts";
import { RowBusyError } from "./connection/errors.ts";
import { Pool, type PoolOptions, type PoolUse } from "./connection/pool.ts";
import type { Statement, Values } from "./connection/statement.ts";
import { type Access, type FoundSchema, type HostColumns, inspectSchema } from "./host-schema.ts";
import { withoutMemory } from "./without-memory.ts";

/** The pool, and what is known of the tables behind it until a statement finds that it is no longer so. */
export class Database {
  readonly #pool: Pool;
  readonly #log: Log;
  readonly #access: Access;
  #columns: Promise<HostColumns> | null = null;
  #known: FoundSchema | null = null;

  /** @param access `read`: nothing is going to be written, so less has to be there. */
  constructor(options: PoolOptions, log: Log, access: Access = "write") {
    this.#pool = new Pool(options, log);
    this.#log = log;
    this.#access = access;
  }

  /** Runs one statement; see Pool.run for what is thrown. */
  run<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    check?: () => void,
    isUrgent = false,
  ): Promise<T> {
    return this.#pool.run(operation, work, check, isUrgent).catch(this.#failed);
  }

  readonly #failed = (error: unknown): never => {
    if (error instanceof StoreSchemaError) this.#columns = null;
    throw error;
  };

  /** As `run`, for nothing but a statement. */
  query<Params extends Values<Params>, Row extends object>(
    operation: string,
    statement: Statement<Params, Row>,
    params: Params,
    check?: () => void,
    isUrgent = false,
  ): Promise<readonly Row[]> {
    const asked = this.#known?.remembers === false ? withoutMemory(statement) : statement;
    return this.run(operation, (connection) => connection.query(asked, params), check, isUrgent);
  }

  /**
   * As `query`, for rows that belong to the workers alone. Where statements do not wait for each other (repeatable read),
   * the one that lost did nothing.
   */
  async queryOwn<Params extends Values<Params>, Row extends object>(
    operation: string,
    statement: Statement<Params, Row>,
    params: Params,
    check?: () => void,
  ): Promise<readonly Row[]> {
    try {
      return await this.query(operation, statement, params, check);
    } catch (error) {
      if (!(error instanceof RowBusyError)) throw error;
      throw new StoreUnavailableError(error.message, { cause: error });
    }
  }

  /** As `query`, for a statement that looks for runs in the host's tables: one that is late says what it may lack. */
  async scan<Params extends Values<Params>, Row extends object>(
    operation: string,
    statement: Statement<Params, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    // Whatever is missing is said at once.
    await this.columns();
    try {
      return await this.query(operation, statement, params);
    } catch (error) {
      const advice = this.#known?.scanAdvice ?? null;
      if (advice === null || !(error instanceof StoreUnavailableError) || !error.late) throw error;
      const message = `${error.message}; ${advice}`;
      throw new StoreUnavailableError(message, { late: true, cause: error });
    }
  }

  /**
   * What the host's tables have, looked up on first use and after a statement met a missing table or column. The same
   * object as long as nothing changed.
   *
   * @throws StoreSchemaError naming everything that is missing, with its remedy; StoreUnavailableError.
   */
  columns(): Promise<HostColumns> {
    return this.#columns ?? this.inspect();
  }

  /** Whether this worker's user may write the list of workers. Looked up with the columns, and said once when not. */
  async listsWorkers(): Promise<boolean> {
    await this.columns();
    return this.#known?.listsWorkers === true;
  }

  /** Whether our own tables can be read; see `columns`. */
  async remembers(): Promise<boolean> {
    await this.columns();
    return this.#known?.remembers === true;
  }

  /** Looks them up again. */
  inspect(): Promise<HostColumns> {
    const looking = this.#inspect();
    this.#columns = looking;
    looking.catch(() => {
      if (this.#columns === looking) this.#columns = null;
    });
    return looking;
  }

  async #inspect(): Promise<HostColumns> {
    const found = await inspectSchema(this.#pool, this.#access);
    if (this.#known === null || !isDeepStrictEqual(found, this.#known)) {
      this.#known = found;
      for (const warning of found.warnings) this.#log.warn({}, warning);
    }
    return this.#known.columns;
  }

  get poolUse(): PoolUse {
    return this.#pool.use;
  }

  /** Gives what is under way `graceMs` to end; later calls are rejected. */
  close(graceMs: number): Promise<void> {
    return this.#pool.close(graceMs);
  }
}
