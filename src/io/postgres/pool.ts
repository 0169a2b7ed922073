import { type Log, StoreUnavailableError } from "../../watchdog/ports.ts";
import { Connection } from "./connection.ts";
import { sqlCode, translate } from "./errors.ts";
import { type ConnectionOptions, connecting, within } from "./session.ts";

export interface PoolOptions extends ConnectionOptions {
  readonly size: number;
  /** `auto` finds out: a pooler refuses our start-up parameters. */
  readonly pooler: "auto" | "on" | "off";
}

interface Waiter {
  serve(connection: Connection): void;
  refuse(): void;
}

/**
 * A few connections, one call each at a time, first come first served. A call has its connection, and that connection
 * is open, before its `check` runs: nothing that was sent has waited for anything since it was checked.
 */
export class Pool {
  readonly #idle: Connection[];
  readonly #all: readonly Connection[];
  readonly #waiting: Waiter[] = [];
  /** Resolves once the pool is closed and no call is under way. */
  readonly #idleAgain = Promise.withResolvers<void>();
  readonly #endpoint: ConnectionOptions;
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
    this.#endpoint = options;
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
    const connection = await this.#take(operation);
    try {
      await this.#open(operation, connection);
      this.#refuseWhenClosed(operation);
      check();
      return await connection.call(operation, work).catch(rethrow(operation));
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Refuses what waits, gives what is under way `graceMs` to end, and closes all connections. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse();
    if (this.#isIdle) this.#idleAgain.resolve();
    await within(graceMs, "closing", this.#idleAgain.promise).catch(() => {});
    await Promise.all(this.#all.map((connection) => connection.close()));
  }

  get #isIdle(): boolean {
    return this.#idle.length === this.#all.length;
  }

  #refuseWhenClosed(operation: string): void {
    if (this.#closed) throw closedPool(operation);
  }

  async #open(operation: string, connection: Connection): Promise<void> {
    const step = connecting(operation, this.#endpoint);
    try {
      await connection.open(step);
    } catch (error) {
      const mayBePooler = this.#mayDetectPooler && !connection.pooled;
      if (!mayBePooler || sqlCode(error) !== PROTOCOL_VIOLATION) rethrow(step)(error);
      connection.treatAsPooler(true);
      await connection.open(step).catch((again: unknown) => {
        connection.treatAsPooler(false);
        rethrow(step)(again);
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

  async #take(operation: string): Promise<Connection> {
    this.#refuseWhenClosed(operation);
    const free = this.#idle.pop();
    if (free !== undefined) return free;
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    this.#waiting.push({ serve: resolve, refuse: () => reject(closedPool(operation)) });
    return promise;
  }

  #giveBack(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.serve(connection);
      return;
    }
    this.#idle.push(connection);
    if (this.#closed && this.#isIdle) this.#idleAgain.resolve();
  }
}

function closedPool(operation: string): StoreUnavailableError {
  return new StoreUnavailableError(`${operation}: the pool is closed`);
}

/** What poolers answer to a start-up parameter they do not know. */
const PROTOCOL_VIOLATION = "08P01";

function rethrow(operation: string): (error: unknown) => never {
  return (error) => {
    throw error instanceof StoreUnavailableError ? error : translate(operation, error);
  };
}
