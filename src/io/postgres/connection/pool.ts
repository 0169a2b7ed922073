import { StoreUnavailableError } from "../../../watchdog/errors.ts";
import type { Log } from "../../../watchdog/ports.ts";
import { Connection } from "./connection.ts";
import { cannotOpen, mayBeParameters } from "./errors.ts";
import { LeftBehind } from "./left-behind.ts";
import { type ConnectionOptions, connecting, within } from "./session.ts";

export interface PoolOptions {
  /** Asked before every new session: address, user and password may change. */
  readonly endpoint: () => ConnectionOptions;
  readonly size: number;
  /** `auto` finds out: a pooler refuses our start-up parameters. */
  readonly pooler: "auto" | "on" | "off";
}

/** How busy a pool is at this moment. */
export interface PoolUse {
  /** Places, whether there is a session in them or not. */
  readonly size: number;
  readonly inUse: number;
  /** Calls that wait for a place. */
  readonly waiting: number;
  /** Sessions that were given up and that the server may still have. */
  readonly leftBehind: number;
}

interface Waiter {
  serve(connection: Connection): void;
  refuse(why: (operation: string) => Error): void;
}

/**
 * A few connections, one call each at a time, first come first served; an urgent call waits for three of the others a
 * connection, and no more. A call has its connection, and that connection is open, before its `check` runs: nothing that
 * was sent has waited for anything since it was checked.
 *
 * Another session is opened when a call has waited for 50 ms: to open one takes the server and us longer than to answer
 * several calls, and callbacks of the host wait meanwhile. Where it cannot be had, calls share those that are open.
 * Where none is open a single one is tried, on behalf of all: while the server is away, what waits neither queues up for
 * attempts of its own nor makes many of them.
 * Sessions that the server may still have although we gave them up take the places of new ones, all but a few.
 */
export class Pool {
  readonly #left: LeftBehind;
  readonly #idle: Connection[];
  readonly #all: readonly Connection[];
  readonly #waiting: Waiter[] = [];
  /** Resolves once the pool is closed and no call is under way. */
  readonly #idleAgain = Promise.withResolvers<void>();
  readonly #endpoint: () => ConnectionOptions;
  readonly #pooler: PoolOptions["pooler"];
  readonly #log: Log;
  #announcedPooler = false;
  #shareUntilMs = 0;
  /** Runs while somebody waits. */
  #patience: NodeJS.Timeout | null = null;
  #closed = false;

  constructor({ endpoint, size, pooler }: PoolOptions, log: Log) {
    this.#left = new LeftBehind(log);
    this.#all = Array.from({ length: size }, () => new Connection(pooler === "on", this.#left));
    this.#idle = [...this.#all];
    this.#endpoint = endpoint;
    this.#pooler = pooler;
    this.#log = log;
  }

  /**
   * Runs one statement. `check` is called synchronously before `work`; what it throws is passed on as it is. Both are
   * called again when the database cannot hold a character of the statement's texts, which then go without it.
   *
   * @param isUrgent others wait for what it finds out.
   * @throws StoreUnavailableError, StoreSchemaError, RowBusyError, StatementRefusedError, or what `check` threw.
   */
  async run<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    check: () => void = () => {},
    isUrgent = false,
  ): Promise<T> {
    const place = () => this.#take(operation) ?? this.#wait(operation, isUrgent);
    let connection = await place();
    while (!connection.usable && !(await this.#open(operation, connection))) {
      connection = await place();
    }
    try {
      return await connection.call(operation, work, () => {
        this.#refuseWhenClosed(operation);
        check();
      });
    } finally {
      this.#giveBack(connection);
    }
  }

  /** Refuses what waits, gives what is under way `graceMs` to end, and closes all connections. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#refuseWaiting(closedPool);
    if (this.#patience !== null) clearTimeout(this.#patience);
    if (this.#inUse === 0) this.#idleAgain.resolve();
    await within(graceMs, "closing", this.#idleAgain.promise).catch(() => {});
    this.#left.close();
    await Promise.all(this.#all.map((connection) => connection.close()));
  }

  get use(): PoolUse {
    return {
      size: this.#all.length,
      inUse: this.#inUse,
      waiting: this.#waiting.length,
      leftBehind: this.#left.count,
    };
  }

  get #inUse(): number {
    return this.#all.length - this.#idle.length;
  }

  #refuseWhenClosed(operation: string): void {
    if (this.#closed) throw closedPool(operation);
  }

  #take(operation: string): Connection | undefined {
    this.#refuseWhenClosed(operation);
    return this.#waiting.length === 0 ? this.#free() : undefined;
  }

  #wait(operation: string, isUrgent: boolean): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const waiter: Waiter = { serve: resolve, refuse: (why) => reject(why(operation)) };
    const place = isUrgent ? URGENT_AFTER * this.#all.length : this.#waiting.length;
    this.#waiting.splice(place, 0, waiter);
    this.#patience ??= setTimeout(() => this.#openAnother(), PATIENCE_MS);
    return promise;
  }

  /** One that is open, else one to be opened; none while it is better to wait for those in use. */
  #free(mayOpenMore = false): Connection | undefined {
    const open = this.#idle.findLastIndex(({ usable }) => usable);
    if (open === -1 && this.#inUse > 0 && !mayOpenMore) return undefined;
    // Without an open one: the last of the others.
    return this.#idle.splice(open, 1)[0];
  }

  /** For whoever has waited longest. */
  #openAnother(): void {
    this.#patience = null;
    if (this.#waiting.length === 0) return;
    const connection = this.#free(this.#mayOpenMore);
    if (connection !== undefined) this.#waiting.shift()?.serve(connection);
    this.#patience = setTimeout(() => this.#openAnother(), PATIENCE_MS);
  }

  get #mayOpenMore(): boolean {
    return this.#someAreOpen && this.#hasRoom && performance.now() >= this.#shareUntilMs;
  }

  get #someAreOpen(): boolean {
    return this.#all.some(({ usable }) => usable);
  }

  /** So that the server never has many more sessions of ours than the pool has places. */
  get #hasRoom(): boolean {
    const own = this.#all.filter(({ hasSession }) => hasSession).length;
    return own + this.#left.count < this.#all.length + SPARE_SESSIONS;
  }

  /** False when it could not be opened and there are others to share; without others nobody need wait any more. */
  async #open(operation: string, connection: Connection): Promise<boolean> {
    const endpoint = this.#endpoint();
    try {
      if (!this.#hasRoom) throw new StoreUnavailableError(noRoom(this.#left.count));
      await this.#openAsWhatItIs(connection, endpoint);
    } catch (error) {
      this.#putAside(connection);
      if (this.#someAreOpen) {
        this.#shareUntilMs = performance.now() + SHARE_FOR_MS;
        return false;
      }
      const isPooler = this.#pooler === "off" && mayBeParameters(error) ? MAY_BE_POOLER : null;
      const why = (who: string) => cannotOpen(connecting(who, endpoint), error, isPooler);
      this.#refuseWaiting(why);
      throw why(operation);
    }
    this.#serveWaiting();
    return true;
  }

  async #openAsWhatItIs(connection: Connection, endpoint: ConnectionOptions): Promise<void> {
    try {
      await connection.open(endpoint);
    } catch (error) {
      if (this.#pooler !== "auto" || connection.pooled || !mayBeParameters(error)) throw error;
      connection.treatAsPooler(true);
      await connection.open(endpoint).catch((again: unknown) => {
        connection.treatAsPooler(false);
        throw again;
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

  #giveBack(connection: Connection): void {
    this.#putAside(connection);
    this.#serveWaiting();
  }

  #putAside(connection: Connection): void {
    this.#idle.push(connection);
    if (this.#closed && this.#inUse === 0) this.#idleAgain.resolve();
  }

  #serveWaiting(): void {
    while (this.#waiting.length > 0) {
      const connection = this.#free();
      if (connection === undefined) return;
      this.#waiting.shift()?.serve(connection);
    }
  }

  #refuseWaiting(why: (operation: string) => Error): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(why);
  }
}

/**
 * A connection. Reads of runs share a statement, and what they share is what comes while they wait: at once, a worker whose
 * CPU is the limit spends a tenth of it on more statements; after 400 writes, a wave of runs stays together.
 */
const URGENT_AFTER = 3;

const PATIENCE_MS = 50;

function closedPool(operation: string): StoreUnavailableError {
  return new StoreUnavailableError(`${operation}: the pool is closed`);
}

/** So long calls share what is open after another session could not be had: each attempt costs the server something. */
const SHARE_FOR_MS = 1000;

/** Beyond the pool's places, so that work can go on while all of them are taken by what was left behind. */
const SPARE_SESSIONS = 2;

function noRoom(left: number): string {
  return `${left} sessions that did not answer may still be at work on the server, so no other one is opened for a while`;
}

const MAY_BE_POOLER = "if this is a transaction pooler, set WATCHDOG_DB_POOLER=on";
