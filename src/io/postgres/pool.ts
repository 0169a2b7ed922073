import { type Log, StoreUnavailableError } from "../../watchdog/ports.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { sqlCode, translate } from "./errors.ts";

export interface PoolOptions extends ConnectionOptions {
  readonly size: number;
  /** `auto` finds out: a pooler refuses our start-up parameters. */
  readonly pooler: "auto" | "on" | "off";
}

/**
 * A few connections, one call each at a time, first come first served. A call gets its connection before its `check`
 * runs, so that nothing sent has waited in a queue since it was checked.
 */
export class Pool {
  readonly #idle: Connection[];
  readonly #all: readonly Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];
  readonly #mayDetectPooler: boolean;
  readonly #log: Log;
  #announcedPooler = false;
  #closed = false;

  constructor(options: PoolOptions, log: Log) {
    this.#all = Array.from(
      { length: options.size },
      () => new Connection(options, options.pooler === "on"),
    );
    this.#idle = [...this.#all];
    this.#mayDetectPooler = options.pooler === "auto";
    this.#log = log;
  }

  /**
   * Runs one statement. `check` is called synchronously before `work`.
   *
   * @throws StoreUnavailableError, StoreSchemaError, RowBusyError, StatementRefusedError, or what `check` threw.
   */
  async run<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    check: () => void = () => {},
  ): Promise<T> {
    const connection = await this.#take();
    try {
      if (this.#closed) throw new StoreUnavailableError(`${operation}: the pool is closed`);
      return await this.#attempt(operation, connection, work, check);
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Ends idle connections at once and busy ones within `graceMs`. Calls still waiting are rejected. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#all.map((connection) => connection.close(graceMs)));
  }

  async #attempt<T>(
    operation: string,
    connection: Connection,
    work: (connection: Connection) => Promise<T>,
    check: () => void,
  ): Promise<T> {
    check();
    try {
      return await connection.call(operation, work);
    } catch (error) {
      if (!this.#meetsPooler(connection, error)) throw asOurs(operation, error);
    }
    // The start-up was refused, so the statement was never sent: once more, without the parameters.
    connection.usePooler();
    check();
    return await connection.call(operation, work).catch((error: unknown) => {
      throw asOurs(operation, error);
    });
  }

  #meetsPooler(connection: Connection, error: unknown): boolean {
    if (!this.#mayDetectPooler || connection.pooled || sqlCode(error) !== "08P01") return false;
    if (!this.#announcedPooler) {
      this.#announcedPooler = true;
      this.#log.warn(
        {},
        "the database endpoint refuses start-up parameters, treating it as a transaction pooler; WATCHDOG_DB_POOLER=on says so from the start",
      );
    }
    return true;
  }

  #take(): Promise<Connection> {
    const free = this.#idle.pop();
    if (free !== undefined) return Promise.resolve(free);
    const { promise, resolve } = Promise.withResolvers<Connection>();
    this.#waiting.push(resolve);
    return promise;
  }

  #giveBack(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else next(connection);
  }
}

function asOurs(operation: string, error: unknown): Error {
  return error instanceof StoreUnavailableError ? error : translate(operation, error);
}
