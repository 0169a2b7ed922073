import { type Log, StoreUnavailableError } from "../../watchdog/ports.ts";
import { Connection } from "./connection.ts";
import { sqlCode, translate } from "./errors.ts";
import type { ConnectionOptions } from "./session.ts";

export interface PoolOptions extends ConnectionOptions {
  readonly size: number;
  /** `auto` finds out: a pooler refuses our start-up parameters. */
  readonly pooler: "auto" | "on" | "off";
}

/**
 * A few connections, one call each at a time, first come first served. A call has its connection, and that connection
 * is open, before its `check` runs: nothing that was sent has waited for anything since it was checked.
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
   * Runs one statement. `check` is called synchronously before `work`; what it throws is passed on as it is.
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
      this.#refuseWhenClosed(operation);
      await this.#open(operation, connection);
      this.#refuseWhenClosed(operation);
      check();
      return await connection.call(operation, work).catch(rethrow(operation));
    } finally {
      if (this.#closed) connection.destroy();
      this.#giveBack(connection);
    }
  }

  /** Ends idle connections at once and busy ones within `graceMs`. Calls still waiting are rejected. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#all.map((connection) => connection.close(graceMs)));
  }

  #refuseWhenClosed(operation: string): void {
    if (this.#closed) throw new StoreUnavailableError(`${operation}: the pool is closed`);
  }

  async #open(operation: string, connection: Connection): Promise<void> {
    try {
      await connection.open(operation);
    } catch (error) {
      const mayBePooler = this.#mayDetectPooler && !connection.pooled;
      if (!mayBePooler || sqlCode(error) !== PROTOCOL_VIOLATION) rethrow(operation)(error);
      connection.treatAsPooler(true);
      await connection.open(operation).catch((again: unknown) => {
        connection.treatAsPooler(false);
        rethrow(operation)(again);
      });
      this.#announcePooler();
    }
  }

  #announcePooler(): void {
    if (this.#announcedPooler) return;
    this.#announcedPooler = true;
    this.#log.warn(
      {},
      "the database endpoint refuses start-up parameters, treating it as a transaction pooler; WATCHDOG_DB_POOLER=on says so from the start",
    );
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

/** What poolers answer to a start-up parameter they do not know. */
const PROTOCOL_VIOLATION = "08P01";

function rethrow(operation: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof StoreUnavailableError ? error : translate(operation, error);
  };
}
