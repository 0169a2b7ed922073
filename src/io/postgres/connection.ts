import { StoreUnavailableError } from "../../watchdog/ports.ts";
import { keepsSession } from "./errors.ts";
import { type ConnectionOptions, type Db, Session, within } from "./session.ts";

/**
 * One connection to Postgres, opened when a call needs it and again after a loss; one call at a time.
 *
 * postgres.js has no deadline for a query, so a half-open TCP connection would hang for ever. Here a call that outlives
 * its deadline takes the connection down with it: the socket is ours, so nothing lingers. It also connects again by
 * itself and without an end; here a session is one socket, and what comes after it is a new session.
 */
export class Connection {
  #pooled: boolean;
  #session: Session | null = null;
  #idle: NodeJS.Timeout | undefined;

  constructor(pooled: boolean) {
    this.#pooled = pooled;
  }

  /** Whether the next statement leaves at once, without waiting for a connection. */
  get usable(): boolean {
    return this.#session?.usable === true;
  }

  /**
   * A new session, in the place of what is left of the one before.
   *
   * @throws what Session.open throws.
   */
  async open(operation: string, options: ConnectionOptions): Promise<void> {
    this.destroy();
    this.#session = new Session(options, !this.#pooled);
    await this.#session.open(operation, options.callDeadlineMs);
  }

  /**
   * @throws StoreUnavailableError when no answer came in time: the outcome is unknown. What postgres.js throws
   *   otherwise, untranslated.
   */
  async call<T>(operation: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    clearTimeout(this.#idle);
    const { callDeadlineMs } = this.#opened();
    try {
      return await within(callDeadlineMs, `${operation}: no answer from Postgres`, work(this));
    } catch (error) {
      // After a broken socket postgres.js would take one more statement, and never answer it.
      if (!keepsSession(error)) this.destroy();
      throw error;
    } finally {
      this.#idle = setTimeout(() => this.destroy(), CLOSE_AFTER_IDLE_MS).unref();
    }
  }

  /** For the work of a call. */
  get db(): Db {
    return this.#opened().db;
  }

  /** A statement built once for this connection; `build` is its key. */
  prepared<T>(build: (db: Db) => T): T {
    return this.#opened().prepared(build);
  }

  /** From the next session on with or without start-up parameters and named statements, as a pooler needs it. */
  treatAsPooler(pooled: boolean): void {
    this.#pooled = pooled;
    this.destroy();
  }

  get pooled(): boolean {
    return this.#pooled;
  }

  /** Closes at once; what was in flight rejects. The next call opens a new connection. */
  destroy(): void {
    clearTimeout(this.#idle);
    const session = this.#session;
    this.#session = null;
    session?.destroy();
  }

  /** Takes leave of the server; for a connection on which nothing is under way. */
  async close(): Promise<void> {
    await this.#session?.end(GOODBYE_WITHIN_MS);
    this.destroy();
  }

  #opened(): Session {
    if (this.#session === null) throw new StoreUnavailableError("the connection was closed");
    return this.#session;
  }
}

/** Sweeps come in bursts; between them the server need not keep sessions for us. */
const CLOSE_AFTER_IDLE_MS = 20_000;
const GOODBYE_WITHIN_MS = 500;
