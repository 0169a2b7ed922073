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
 * One connection to Postgres, opened by the first call and again after a loss; one call at a time.
 *
 * postgres.js has no deadline for a query, so a half-open TCP connection would hang for ever. Here a call that outlives
 * its deadline takes the connection down with it: the socket is ours, so nothing lingers.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #pooled: boolean;
  #client: Sql | null = null;
  #db: Db | null = null;
  #socket: Socket | null = null;
  #prepared = new Map<unknown, unknown>();

  constructor(options: ConnectionOptions, pooled: boolean) {
    this.#options = options;
    this.#pooled = pooled;
  }

  /**
   * @throws StoreUnavailableError when no answer came in time: the outcome is unknown. What postgres.js throws
   *   otherwise, untranslated.
   */
  async call<T>(operation: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const { callDeadlineMs } = this.#options;
    const timer = setTimeout(() => {
      reject(
        new StoreUnavailableError(
          `${operation} got no answer from Postgres within ${callDeadlineMs} ms`,
        ),
      );
    }, callDeadlineMs);
    try {
      return await Promise.race([work(this), late]);
    } catch (error) {
      if (error instanceof StoreUnavailableError) this.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get db(): Db {
    this.#db ??= drizzle(this.#open());
    return this.#db;
  }

  /** A statement built once for this connection; `build` is its key. */
  prepared<T>(build: (db: Db) => T): T {
    const known = this.#prepared.get(build);
    // Under `build` the map holds nothing but what `build` returned.
    if (known !== undefined) return known as T;
    const made = build(this.db);
    this.#prepared.set(build, made);
    return made;
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
    const client = this.#client;
    this.#socket?.destroy();
    this.#client = null;
    this.#db = null;
    this.#socket = null;
    this.#prepared = new Map();
    client?.end({ timeout: 0 }).catch(() => {});
  }

  /** Closes after what is in flight has ended, at once after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const client = this.#client;
    this.#client = null;
    await client?.end({ timeout: graceMs / 1000 }).catch(() => {});
    this.destroy();
  }

  #open(): Sql {
    // Options of postgres.js that its types leave out.
    const untyped = { socket: () => this.#connectSocket(), max_pipeline: 1 };
    const options = clientOptions(this.#options);
    this.#client = postgres({
      ...untyped,
      ...options,
      max: 1,
      prepare: !this.#pooled,
      connection: { ...options.connection, ...(this.#pooled ? {} : DIRECT_PARAMETERS) },
    });
    return this.#client;
  }

  #connectSocket(): Socket {
    const { host, port, path } = this.#options;
    const socket = path === null ? connect({ host, port, noDelay: true }) : connect(path);
    // postgres.js reads the server name for TLS from here.
    Object.assign(socket, { host });
    this.#socket = socket;
    return socket;
  }
}

/** What every client of ours has in common; nothing is left to PG* variables or to the URL's parameters. */
export function clientOptions(options: ConnectionOptions) {
  const { host, port, path, database, user, password, tls } = options;
  return {
    host,
    port,
    ...(path === null ? {} : { path }),
    database,
    username: user,
    password: password ?? "",
    ssl: sslOption(tls),
    connect_timeout: 5,
    idle_timeout: 20,
    // A lost server is tried again soon: callers wait no longer than their deadline anyway.
    backoff: () => 0.2,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "run-watchdog" },
  };
}

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
