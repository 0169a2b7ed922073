import { StoreUnavailableError } from "../../../watchdog/errors.ts";
import { isUnanswered, keepsSession, StatementRefusedError, translate } from "./errors.ts";
import type { LeftBehind } from "./left-behind.ts";
import { type ConnectionOptions, Session, within } from "./session.ts";
import type { Statement, Values } from "./statement.ts";

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
   * Makes the call, and makes it again where the database cannot hold a character of its texts: one that is not UTF-8
   * refuses the whole statement for it. Nothing was executed then, and what a run says about itself must not keep it
   * from its verdict: the texts go with less and less of what not every encoding has.
   *
   * @param check called synchronously before each attempt; what it throws is passed on as it is.
   * @throws StoreUnavailableError when no answer came in time: the outcome is unknown. What `translate` makes of
   *   everything else.
   */
  async call<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    check: () => void,
  ): Promise<T> {
    for (const leaveOut of MORE_AND_MORE) {
      check();
      try {
        return await this.#attempt(operation, work, leaveOut);
      } catch (error) {
        if (!(error instanceof StatementRefusedError) || !CANNOT_HOLD.has(error.code)) throw error;
      }
    }
    check();
    return await this.#attempt(operation, work, ALL_BUT_ASCII);
  }

  /** @param leaveOut characters that no text of it may have; `null` for none. */
  async #attempt<T>(
    operation: string,
    work: (connection: Connection) => Promise<T>,
    leaveOut: RegExp | null,
  ): Promise<T> {
    const session = this.#opened();
    session.leaveOut = leaveOut;
    const working = work(this);
    this.#working = working;
    try {
      const lacking = `${operation}: no answer from Postgres`;
      return await within(session.callDeadlineMs, lacking, working);
    } catch (error) {
      if (isUnanswered(error)) await this.#giveUp(session, working);
      // After a broken socket postgres.js would take one more statement, and never answer it.
      else if (!keepsSession(error)) this.destroy();
      throw error instanceof StoreUnavailableError ? error : translate(operation, error);
    } finally {
      this.#working = null;
      this.#idle ??= setTimeout(() => this.#closeWhenIdle(), CLOSE_AFTER_IDLE_MS).unref();
      this.#idle.refresh();
    }
  }

  /** The server's part goes before ours: it would go on with the statement without anybody to answer. */
  async #giveUp(session: Session, working: Promise<unknown>): Promise<void> {
    // Closed meanwhile, and cancelled with that.
    if (session !== this.#session) return;
    const outcome = await session.stop(working);
    if (outcome !== "ended") this.#left.add(session, outcome === "silent");
    this.destroy();
  }

  /** For the work of a call. */
  query<Params extends Values<Params>, Row extends object>(
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

  #closeWhenIdle(): void {
    if (this.#working === null) this.destroy();
  }

  /** Closes at once; what was in flight rejects. The next call opens a new connection. */
  destroy(): void {
    const session = this.#session;
    this.#session = null;
    session?.destroy();
  }

  /** Takes leave of the server; what is under way is cancelled. */
  async close(): Promise<void> {
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

/** Emoji and the like, which only UTF-8 has; what LATIN1 and its relatives lack; everything that not all have. */
const MORE_AND_MORE = [null, /[\u{10000}-\u{10ffff}]/gu, /[^\0-\xff]/gu];
const ALL_BUT_ASCII = /[^\0-\x7f]/gu;

/** An untranslatable character, an invalid byte sequence. */
const CANNOT_HOLD = new Set(["22P05", "22021"]);
