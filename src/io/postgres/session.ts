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

/** For messages: what is being done, and to whom a connection is needed for it. */
export function connecting(operation: string, { host, port, path }: ConnectionOptions): string {
  return `${operation}: connecting to ${path ?? `${host}:${port}`}`;
}

/** From the first packet to the first answer. */
const OPEN_WITHIN_MS = 5000;

/** A client of postgres.js that connects once: after the loss of its socket it is of no more use. */
export class Session {
  readonly client: Sql;
  readonly db: Db;
  readonly #options: ConnectionOptions;
  readonly #prepared = new Map<unknown, unknown>();
  #socket: Socket | null = null;
  #usable = false;

  /** @param direct whether it may have start-up parameters and named statements; a transaction pooler refuses them. */
  constructor(options: ConnectionOptions, direct: boolean) {
    this.#options = options;
    this.client = createClient(options, direct, {
      socket: () => this.#dial(),
      onclose: () => {
        this.#usable = false;
      },
    });
    this.db = drizzle(this.client);
  }

  /**
   * Connects, and is done when Postgres has answered a statement that does nothing.
   *
   * @throws StoreUnavailableError when that takes longer than 5 s or `withinMs`; what Node, Postgres or postgres.js
   *   say otherwise. The session is over then.
   */
  async open(operation: string, withinMs = OPEN_WITHIN_MS): Promise<void> {
    const boundMs = Math.min(withinMs, OPEN_WITHIN_MS);
    try {
      await within(boundMs, `${operation}: no answer`, this.#greet());
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  async #greet(): Promise<void> {
    await this.client.unsafe("SELECT 1");
    this.#usable = true;
  }

  get callDeadlineMs(): number {
    return this.#options.callDeadlineMs;
  }

  /** From the first answer to the loss of the socket. */
  get usable(): boolean {
    // A broken socket is destroyed first, and tells postgres.js of its end later.
    return this.#usable && this.#socket?.destroyed === false;
  }

  /** A statement built once for this session; `build` is its key. */
  prepared<T>(build: (db: Db) => T): T {
    const known = this.#prepared.get(build);
    // Under `build` the map holds nothing but what `build` returned.
    if (known !== undefined) return known as T;
    const made = build(this.db);
    this.#prepared.set(build, made);
    return made;
  }

  /** Closes at once; what was in flight rejects. */
  destroy(): void {
    this.#socket?.destroy();
    this.client.end({ timeout: 0 }).catch(() => {});
  }

  /** Closes after what is in flight has ended, at once after `graceMs`. */
  async end(graceMs: number): Promise<void> {
    await this.client.end({ timeout: graceMs / 1000 }).catch(() => {});
    this.destroy();
  }

  /** Called by postgres.js, and again whenever it means to reconnect, which it would do without a pause or an end. */
  async #dial(): Promise<Socket> {
    if (this.#socket !== null) throw closedByServer();
    const { host, port, path } = this.#options;
    const socket = path === null ? connect({ host, port, noDelay: true }) : connect(path);
    this.#socket = socket;
    await once(socket, "connect");
    // postgres.js reads the server name for TLS from here.
    return Object.assign(socket, { host });
  }
}

/** @throws StoreUnavailableError saying what was lacking when `work` takes longer; it goes on then. */
export async function within<T>(ms: number, lacking: string, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new StoreUnavailableError(`${lacking} within ${ms} ms`, { late: true })),
    ms,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** As Node says it of a socket that the other side has closed. */
function closedByServer(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" });
}

/** Nothing is left to PG* variables, from which postgres.js takes whatever it is not given. */
function createClient(
  { host, port, database, user, password, tls }: ConnectionOptions,
  direct: boolean,
  hooks: { readonly socket: () => Promise<Socket>; readonly onclose: () => void },
): Sql {
  // Options of postgres.js that its types leave out.
  const untyped = { ...hooks, max_pipeline: 1, sslnegotiation: null };
  const parsed: object = postgres({
    ...untyped,
    host,
    port,
    database,
    username: user,
    // A function, because an empty text counts as not given.
    password: () => password ?? "",
    ssl: sslOption(tls),
    target_session_attrs: "read-write",
    max: 1,
    prepare: direct,
    connect_timeout: 0,
    idle_timeout: 0,
    max_lifetime: 0,
    keep_alive: 60,
    backoff: () => 0,
    debug: false,
    fetch_types: false,
    onnotice: () => {},
    connection: { application_name: "run-watchdog", ...(direct ? DIRECT_PARAMETERS : {}) },
  }).options;
  // "None" would again be read from the environment; options that were parsed before are taken as they are.
  return postgres({ ...parsed, target_session_attrs: undefined });
}

/** A transaction pooler refuses these with 08P01. Milliseconds. */
const DIRECT_PARAMETERS = {
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
  // Ours are single statements that compare before they set; any stricter level only makes them fail beside each other.
  default_transaction_isolation: "read committed",
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
