import type { Socket } from "node:net";
import postgres, { type Sql } from "postgres";
import type { Address, PostgresEndpoint } from "../../../rules/network/endpoints.ts";
import { StoreUnavailableError } from "../../../watchdog/errors.ts";
import { type BackendKey, brokenOff, dial, requestCancel } from "./dial.ts";
import type { Statement, Values } from "./statement.ts";

export interface ConnectionOptions extends PostgresEndpoint {
  /** After this long a call is given up, its connection destroyed, and its outcome unknown. */
  readonly callDeadlineMs: number;
}

/** For messages: what is being done, and to whom a connection is needed for it. */
export function connecting(operation: string, { host, port, path }: ConnectionOptions): string {
  return `${operation}: connecting to ${path ?? `${host}:${port}`}`;
}

/** From the first packet to the first answer. */
const OPEN_WITHIN_MS = 5000;
const CANCEL_WITHIN_MS = 2000;
const WISHES = 6;
/** A statement that is cancelled ends at once, or it does not heed the wish. */
const ANSWER_WITHIN_MS = 250;

/** A client of postgres.js that connects once: after the loss of its socket it is of no more use. */
export class Session {
  readonly client: Sql;
  /** False behind a transaction pooler: no start-up parameters and no named statements. */
  readonly direct: boolean;
  readonly #options: ConnectionOptions;
  #socket: Socket | null = null;
  #usable = false;
  /** Whom to tell what is to be cancelled: the server that answered, whatever the name leads to by then. */
  #backend: { readonly address: Address; readonly key: BackendKey } | null = null;
  #leaveOut: RegExp | null = null;

  constructor(options: ConnectionOptions, direct: boolean) {
    this.direct = direct;
    this.#options = options;
    this.client = createClient(options, direct, {
      socket: () => this.#dial(),
      onclose: () => {
        this.#usable = false;
      },
    });
    const { parsers, serializers } = this.client.options;
    for (const type of TEXT_TYPES) serializers[type] = (value) => this.#fit(value);
    for (const type of NUMBER_TYPES) parsers[type] = Number;
    // A Date has no microseconds.
    parsers[TIMESTAMPTZ] = String;
    serializers[TIMESTAMPTZ] = String;
  }

  /**
   * Connects, and is done when Postgres has answered a statement that does nothing.
   *
   * @throws StoreUnavailableError when that takes longer than 5 s or `withinMs`; what Node, Postgres or postgres.js
   *   say otherwise. The session is over then.
   */
  async open(withinMs = OPEN_WITHIN_MS): Promise<void> {
    try {
      await within(Math.min(withinMs, OPEN_WITHIN_MS), "no answer", this.#greet());
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  async #greet(): Promise<void> {
    const { state } = await this.client.unsafe("SELECT 1");
    const { host, port, path } = this.#options;
    const { remoteAddress = host, remotePort = port } = this.#socket ?? {};
    const address = { host: remoteAddress, port: remotePort, path };
    if (hasKey(state)) this.#backend = { address, key: state };
    this.#usable = true;
  }

  /**
   * Asks the server to stop what it does for this session, over a connection of its own. Done when that was heard, or
   * when there is nobody to ask; what becomes of it shows in the answer to the statement.
   *
   * @throws StoreUnavailableError when it was not heard within 2 s, what Node says otherwise.
   */
  async cancel(): Promise<void> {
    if (this.#backend === null) return;
    const { address, key } = this.#backend;
    const { tls, host } = this.#options;
    const held: Socket[] = [];
    const asking = dial(address, tls, host, (socket) => held.push(socket)).then((socket) =>
      requestCancel(socket, key),
    );
    try {
      await within(CANCEL_WITHIN_MS, "cancelling: no answer", asking);
    } finally {
      for (const socket of held) socket.destroy();
    }
  }

  /**
   * Has the server stop what it does for this session. Behind a pooler a statement may be waiting for its turn, which
   * comes when another one is cancelled: so the wish is repeated, and spoken once more before the session may be dropped.
   *
   * @param working settles with the answer.
   * @returns `silent` when the wish was heard, and no answer came; `unheard` when the server could not be reached.
   */
  async stop(working: Promise<unknown>): Promise<"ended" | "silent" | "unheard"> {
    const answered = working.catch(() => {});
    for (let wish = 1; await succeeds(this.cancel()); wish += 1) {
      if (wish > WISHES) return "silent";
      if (await succeeds(within(ANSWER_WITHIN_MS, "cancelled", answered))) return "ended";
    }
    return "unheard";
  }

  /** From the next statement on characters that match are left out of every text that is sent. */
  set leaveOut(characters: RegExp | null) {
    this.#leaveOut = characters;
  }

  get callDeadlineMs(): number {
    return this.#options.callDeadlineMs;
  }

  /** From the first answer to the loss of the socket. */
  get usable(): boolean {
    // A broken socket is destroyed first, and tells postgres.js of its end later.
    return this.#usable && this.#socket?.destroyed === false;
  }

  /** Whether its socket is gone. */
  get ended(): boolean {
    return this.#socket?.destroyed === true;
  }

  /** @throws what postgres.js throws. */
  query<Params extends Values<Params>, Row extends object>(
    { text, names, prepared = true }: Statement<Params, Row>,
    params: Params,
  ): Promise<readonly Row[]> {
    const values = names.map((name) => params[name]);
    return this.client.unsafe<Row[]>(text, values, { prepare: prepared });
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
    if (this.#socket !== null) throw brokenOff();
    return dial(this.#options, this.#options.tls, this.#options.host, (socket) => {
      this.#socket = socket;
    });
  }

  #fit(value: unknown): string {
    const text = String(value);
    return this.#leaveOut === null ? text : text.replace(this.#leaveOut, "");
  }
}

/** text, varchar, json, jsonb: what comes from outside travels as one of these. */
const TEXT_TYPES = [25, 1043, 114, 3802];
/** int8, numeric: epochs, counts and milliseconds. */
const NUMBER_TYPES = [20, 1700];
const TIMESTAMPTZ = 1184;

/** A pooler may have handed out none. */
function hasKey(state: Partial<Record<keyof BackendKey, unknown>>): state is BackendKey {
  return typeof state.pid === "number" && typeof state.secret === "number";
}

/** @throws StoreUnavailableError saying what was lacking when `work` takes longer; it goes on then. */
export function within<T>(ms: number, lacking: string, work: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(
    () => reject(new StoreUnavailableError(`${lacking} within ${ms} ms`, { late: true })),
    ms,
  );
  const end = <V>(settle: (value: V) => void) => {
    return (value: V) => {
      clearTimeout(timer);
      settle(value);
    };
  };
  work.then(end(resolve), end(reject));
  return promise;
}

/** Whether a step succeeds, where why it does not is of no interest. */
export async function succeeds(step: Promise<unknown>): Promise<boolean> {
  return step.then(
    () => true,
    () => false,
  );
}

/** Nothing is left to PG* variables, from which postgres.js takes whatever it is not given. */
function createClient(
  { host, port, database, user, password }: ConnectionOptions,
  direct: boolean,
  hooks: { readonly socket: () => Promise<Socket>; readonly onclose: () => void },
): Sql {
  // Options of postgres.js that its types leave out.
  const untyped = { ...hooks, max_pipeline: 1 };
  const parsed: object = postgres({
    ...untyped,
    host,
    port,
    database,
    username: user,
    // A function, because an empty text counts as not given.
    password: () => password ?? "",
    // What is dialled is encrypted by then.
    ssl: false,
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

/** A transaction pooler refuses these. Milliseconds. */
const DIRECT_PARAMETERS = {
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
  // Ours are single statements that compare before they set; any stricter level only makes them fail beside each other.
  default_transaction_isolation: "read committed",
} as const;
