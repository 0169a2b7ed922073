import { StoreUnavailableError } from "../../../watchdog/errors.ts";
import { isUnanswered, keepsSession } from "./errors.ts";
import type { LeftBehind } from "./left-behind.ts";
import { type ConnectionOptions, type Db, Session, within } from "./session.ts";
import type { Statement, Value } from "./statement.ts";

/**
 * One connection to Postgres, opened when a call needs it and again after a loss; one call at a time.
 *
 * postgres.js has no deadline for a query, so a half-open TCP connection would hang for ever. Here a call that outlives
 * its deadline is cancelled on the server, and takes the connection down with it: the socket is ours, so nothing
 * lingers. It also connects again by itself and without an end; here a session is one socket, and what comes after it
 * is a new session.
 */
export class Connection {
  readonly #left: LeftBehind;
  #pooled: boolean;
  #session: Session | null = null;
  #working: Promise<unknown> | null = null;
  #idle: NodeJS.Timeout | undefined;

  /** @param left is told of sessions that the server may have for longer than we do. */
  constructor(pooled: boolean, left: LeftBehind) {
    this.#pooled = pooled;
    this.#left = left;
  }

  /** Whether the next statement leaves at once, without waiting for a connection. */
  get usable(): boolean {
    return this.#session?.usable === true;
  }

  /** Whether the server has a session for it, or is asked for one. */
  get hasSession(): boolean {
    return this.#session !== null && !this.#session.ended;
  }

  /**
   * A new session, in the place of what is left of the one before.
   *
   * @throws what Session.open throws.
   */
  async open(options: ConnectionOptions): Promise<void> {
    this.destroy();
    const session = new Session(options, !this.#pooled);
    this.#session = session;
    try {
      await session.open(options.callDeadlineMs);
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  /**
   * @param leaveOut characters that no text of it may have; `null` for none.
   * @throws StoreUnavailableError when no answer came in time: the outcome is unknown. What postgres.js throws
   *   otherwise, untranslated.
   */
  async call<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    leaveOut: RegExp | null = null,
  ): Promise<T> {
    clearTimeout(this.#idle);
    const session = this.#opened();
    session.leaveOut = leaveOut;
    const working = Promise.try(work, this);
    this.#working = working;
    try {
      const lacking = `${operation}: no answer from Postgres`;
      return await within(session.callDeadlineMs, lacking, working);
    } catch (error) {
      if (isUnanswered(error)) await this.#giveUp(session, working);
      // After a broken socket postgres.js would take one more statement, and never answer it.
      else if (!keepsSession(error)) this.destroy();
      throw error;
    } finally {
      this.#working = null;
      this.#idle = setTimeout(() => this.destroy(), CLOSE_AFTER_IDLE_MS).unref();
    }
  }

  /** The server's part goes before ours: it would go on with the statement without anybody to answer. */
  async #giveUp(session: Session, working: Promise<unknown>): Promise<void> {
    // Closed meanwhile, and cancelled with that.
    if (session !== this.#session) return;
    const fate = await session.stop(working);
    if (fate !== "ended") this.#left.add(session, fate === "silent");
    this.destroy();
  }

  /** For the work of a call. */
  get db(): Db {
    return this.#opened().db;
  }

  /** A statement built once for this connection; `build` is its key. */
  prepared<T>(build: (db: Db) => T): T {
    return this.#opened().prepared(build);
  }

  /** For the work of a call. */
  query<Params extends Readonly<Record<keyof Params, Value>>, Row extends object>(
    statement: Statement<Params, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    return this.#opened().query(statement, params);
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

  /** Takes leave of the server; what is under way is cancelled. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    if (this.#working !== null) await session.stop(this.#working);
    await session.end(GOODBYE_WITHIN_MS);
  }

  #opened(): Session {
    if (this.#session === null) throw new StoreUnavailableError("the connection was closed");
    return this.#session;
  }
}

/** Sweeps come in bursts; between them the server need not keep sessions for us. */
const CLOSE_AFTER_IDLE_MS = 20_000;
const GOODBYE_WITHIN_MS = 500;
