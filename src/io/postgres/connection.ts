import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres, { type Options, type Sql } from "postgres";
import { StoreUnavailableError } from "../../watchdog/ports.ts";

export type Db = PostgresJsDatabase;

export type TlsMode =
  | "off"
  | "prefer"
  | "require"
  | { readonly verify: "ca" | "full"; readonly ca: string | null };

export interface ConnectionOptions {
  readonly host: string;
  readonly port: number;
  /** A Unix socket, used instead of host and port; `null` for TCP. */
  readonly path: string | null;
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  readonly tls: TlsMode;
  /** After this long a call is given up, its connection destroyed, and its outcome unknown. */
  readonly callDeadlineMs: number;
}

/**
 * One connection to Postgres, opened when a call needs it and again after a loss; one call at a time.
 *
 * postgres.js has no deadline for a query, so a half-open TCP connection would hang for ever. Here a call that outlives
 * its deadline takes the connection down with it: the socket is ours, so nothing lingers. It also connects again by
 * itself and without an end; here a session is one socket, and what comes after it is a new session.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #pooled: boolean;
  #session: Session | null = null;
  #idle: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions, pooled: boolean) {
    this.#options = options;
    this.#pooled = pooled;
  }

  /**
   * Makes sure that the next statement leaves at once, without waiting for a connection.
   *
   * @throws StoreUnavailableError when that took too long. What Node, Postgres or postgres.js say otherwise,
   *   untranslated. No statement of the caller's was sent.
   */
  async open(operation: string): Promise<void> {
    clearTimeout(this.#idle);
    if (this.#session?.usable === true) return;
    this.destroy();
    const session = new Session(this.#options, this.#pooled);
    this.#session = session;
    const withinMs = Math.min(OPEN_WITHIN_MS, this.#options.callDeadlineMs);
    try {
      await within(withinMs, `${operation}: no connection to Postgres`, session.greet());
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  /**
   * @throws StoreUnavailableError when no answer came in time: the outcome is unknown. What postgres.js throws
   *   otherwise, untranslated.
   */
  async call<T>(operation: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    const { callDeadlineMs } = this.#options;
    try {
      return await within(callDeadlineMs, `${operation}: no answer from Postgres`, work(this));
    } catch (error) {
      if (error instanceof StoreUnavailableError) this.destroy();
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

  /** From now on without start-up parameters and named statements, as a transaction pooler needs it. */
  usePooler(): void {
    this.#pooled = true;
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

  /** Closes after what is in flight has ended, at once after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await this.#session?.end(graceMs);
    this.destroy();
  }

  #opened(): Session {
    if (this.#session === null) throw new StoreUnavailableError("the connection was closed");
    return this.#session;
  }
}

/** From a connected socket to the loss of it. */
class Session {
  readonly #client: Sql;
  readonly #dial: () => Socket;
  readonly #prepared = new Map<unknown, unknown>();
  #socket: Socket | null = null;
  #greeted = false;
  readonly db: Db;

  constructor(options: ConnectionOptions, pooled: boolean) {
    const { host, port, path } = options;
    this.#dial = () => (path === null ? connect({ host, port, noDelay: true }) : connect(path));
    this.#client = createClient(options, {
      // Options of postgres.js that its types leave out.
      ...{ socket: () => this.#connect(host), max_pipeline: 1 },
      prepare: !pooled,
      connection: { application_name: APPLICATION_NAME, ...(pooled ? {} : DIRECT_PARAMETERS) },
    });
    this.db = drizzle(this.#client);
  }

  /** Connects, and is done when Postgres has answered a statement that does nothing. */
  async greet(): Promise<void> {
    await this.#client.unsafe("SELECT 1");
    this.#greeted = true;
  }

  get usable(): boolean {
    return this.#greeted && this.#socket?.readyState === "open";
  }

  prepared<T>(build: (db: Db) => T): T {
    const known = this.#prepared.get(build);
    // Under `build` the map holds nothing but what `build` returned.
    if (known !== undefined) return known as T;
    const made = build(this.db);
    this.#prepared.set(build, made);
    return made;
  }

  destroy(): void {
    this.#socket?.destroy();
    this.#client.end({ timeout: 0 }).catch(() => {});
  }

  async end(graceMs: number): Promise<void> {
    await this.#client.end({ timeout: graceMs / 1000 }).catch(() => {});
  }

  /** Called by postgres.js, again whenever it means to reconnect. */
  async #connect(host: string): Promise<Socket> {
    if (this.#socket !== null) throw connectionLost();
    const socket = this.#dial();
    this.#socket = socket;
    await once(socket, "connect");
    // postgres.js reads the server name for TLS from here.
    return Object.assign(socket, { host });
  }
}

/** As Node says it of a socket that the other side closed. */
function connectionLost(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" });
}

async function within<T>(ms: number, lack: string, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new StoreUnavailableError(`${lack} within ${ms} ms`));
  }, ms);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A client of one connection. Nothing is left to PG* variables, which postgres.js reads for whatever is not given. */
export function createClient(
  { host, port, path, database, user, password, tls }: ConnectionOptions,
  own: Options<Record<never, never>>,
): Sql {
  const { options } = postgres({
    host,
    port,
    ...(path === null ? {} : { path }),
    database,
    username: user,
    // A function, because an empty text counts as not given.
    password: () => password ?? "",
    ssl: sslOption(tls),
    ...{ sslnegotiation: null, target_session_attrs: "read-write" },
    max: 1,
    connect_timeout: OPEN_WITHIN_MS / 1000,
    idle_timeout: 0,
    max_lifetime: 0,
    keep_alive: 60,
    debug: false,
    backoff: () => 0,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: APPLICATION_NAME },
    ...own,
  });
  // Given as none, it would be read from the environment; what is parsed already is taken as it is.
  return postgres({ ...options, target_session_attrs: null });
}

const APPLICATION_NAME = "run-watchdog";
const OPEN_WITHIN_MS = 5000;
/** Sweeps come in bursts; between them the server need not keep sessions for us. */
const CLOSE_AFTER_IDLE_MS = 20_000;

/** A transaction pooler refuses these with 08P01. Milliseconds. */
const DIRECT_PARAMETERS = {
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
} as const;

function sslOption(tls: TlsMode): NonNullable<Options<Record<never, never>>["ssl"]> {
  if (tls === "off") return false;
  if (tls === "prefer" || tls === "require") return tls;
  return {
    rejectUnauthorized: true,
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    ...(tls.verify === "ca" ? { checkServerIdentity: () => undefined } : {}),
  };
}
