import { type Log, StoreUnavailableError } from "../../watchdog/ports.ts";
import { Connection } from "./connection.ts";
import { sqlCode, translate } from "./errors.ts";
import { type ConnectionOptions, connecting, within } from "./session.ts";

export interface PoolOptions {
  /** Asked before every new session: address, user and password may change. */
  readonly endpoint: () => ConnectionOptions;
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
 * is open, before its `check` runs: nothing that was sent has waited for anything since it was checked. Where the server
 * has no room for as many sessions, calls share those that it gave us.
 */
export class Pool {
  readonly #idle: Connection[];
  readonly #all: readonly Connection[];
  readonly #waiting: Waiter[] = [];
  /** Resolves once the pool is closed and no call is under way. */
  readonly #idleAgain = Promise.withResolvers<void>();
  readonly #endpoint: () => ConnectionOptions;
  readonly #mayDetectPooler: boolean;
  readonly #log: Log;
  #announcedPooler = false;
  #fullUntilMs = 0;
  #closed = false;

  constructor(options: PoolOptions, log: Log) {
    this.#all = Array.from({ length: options.size }, () => new Connection(options.pooler === "on"));
    this.#idle = [...this.#all];
    this.#endpoint = options.endpoint;
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
    const connection = await this.#takeOpen(operation);
    try {
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
    if (this.#inUse === 0) this.#idleAgain.resolve();
    await within(graceMs, "closing", this.#idleAgain.promise).catch(() => {});
    await Promise.all(this.#all.map((connection) => connection.close()));
  }

  get #inUse(): number {
    return this.#all.length - this.#idle.length;
  }

  #refuseWhenClosed(operation: string): void {
    if (this.#closed) throw closedPool(operation);
  }

  async #takeOpen(operation: string): Promise<Connection> {
    for (;;) {
      const connection = await this.#take(operation);
      const opened = await this.#open(operation, connection).catch((error: unknown) => {
        this.#giveBack(connection);
        throw error;
      });
      if (opened) return connection;
      // Not given to those who wait: they are to have one that is open.
      this.#putAside(connection);
    }
  }

  /** False when the server has no room for one more session, and there are others to share. */
  async #open(operation: string, connection: Connection): Promise<boolean> {
    if (connection.usable) return true;
    const endpoint = this.#endpoint();
    const step = connecting(operation, endpoint);
    try {
      await connection.open(step, endpoint);
    } catch (error) {
      if (sqlCode(error) === TOO_MANY_CONNECTIONS) {
        this.#fullUntilMs = performance.now() + FULL_FOR_MS;
        if (this.#inUse > 1 || this.#idle.some(({ usable }) => usable)) return false;
      }
      const mayBePooler = this.#mayDetectPooler && !connection.pooled;
      if (!mayBePooler || sqlCode(error) !== PROTOCOL_VIOLATION) {
        rethrow(step, connection.pooled ? {} : MAY_BE_POOLER)(error);
      }
      connection.treatAsPooler(true);
      await connection.open(step, endpoint).catch((again: unknown) => {
        connection.treatAsPooler(false);
        rethrow(step)(again);
      });
      this.#announcePooler();
    }
    return true;
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
    const usable = this.#idle.findLastIndex((connection) => connection.usable);
    const isFull = this.#inUse > 0 && performance.now() < this.#fullUntilMs;
    // Without a usable one: the last of the others.
    const [free] = usable === -1 && isFull ? [] : this.#idle.splice(usable, 1);
    if (free !== undefined) return free;
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    this.#waiting.push({ serve: resolve, refuse: () => reject(closedPool(operation)) });
    return promise;
  }

  #giveBack(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#putAside(connection);
    else next.serve(connection);
  }

  #putAside(connection: Connection): void {
    this.#idle.push(connection);
    if (this.#closed && this.#inUse === 0) this.#idleAgain.resolve();
  }
}

function closedPool(operation: string): StoreUnavailableError {
  return new StoreUnavailableError(`${operation}: the pool is closed`);
}

const TOO_MANY_CONNECTIONS = "53300";
/** So long no further session is asked for: each refusal is a line in the server's log. */
const FULL_FOR_MS = 1000;

/** What poolers answer to a start-up parameter they do not know. */
const PROTOCOL_VIOLATION = "08P01";

const MAY_BE_POOLER = {
  [PROTOCOL_VIOLATION]: "if this is a transaction pooler, set WATCHDOG_DB_POOLER=on",
};

function rethrow(operation: string, remedies = {}): (error: unknown) => never {
  return (error) => {
    throw error instanceof StoreUnavailableError ? error : translate(operation, error, remedies);
  };
}
