/**
 * One connection to Redis at a time, replaced as a whole.
 *
 * Any failed call drops the connection, and the next call opens a fresh one. So the first call after an outage
 * succeeds, a server that turned read-only in a failover is left at once, and a half-open connection costs one
 * timeout. Nothing is queued, resent or reconnected in the background: a command either leaves the process within the
 * bounds below or it never does, and how often a connection is tried is up to the caller.
 */
import { once } from "node:events";
import { TLSSocket } from "node:tls";
import { Redis, ReplyError } from "ioredis";
import type { RedisEndpoint } from "../../rules/network/endpoints.ts";
import { LeaseUnavailableError } from "../../watchdog/errors.ts";
import type { Log } from "../../watchdog/ports.ts";
import { logIn, nameConnection } from "./log-in.ts";
import { remedyFor } from "./remedy.ts";

const GOODBYE_WITHIN_MS = 1000;

export interface RedisConnectionOptions extends RedisEndpoint {
  /** How long one command may take. */
  readonly commandTimeoutMs: number;
  /** How long name lookup, TCP, TLS and log-in may take together. */
  readonly connectTimeoutMs: number;
  readonly log?: Log;
}

export class RedisConnection {
  readonly #options: () => RedisConnectionOptions;
  readonly #calls = new Set<Promise<unknown>>();
  #link: Link | null = null;
  /** Set behind a proxy that closes the connection on CLIENT: the name is left out then. */
  #nameless = false;
  #closing: Promise<void> | null = null;

  /** Does not connect. `options` is asked before every connection: address, user and password may change. */
  constructor(options: () => RedisConnectionOptions) {
    this.#options = options;
  }

  /**
   * Sends one command, connecting first when necessary. Settles within the two bounds of the options, or, behind a proxy
   * that hangs up on the connection's name, within twice that.
   *
   * @param operation what is being done, for the message: `renewing the lease`.
   * @throws LeaseUnavailableError for every failure. Unless it is `withoutEffect`, the command may still take effect later.
   */
  async run<T>(operation: string, command: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#closing !== null)
      throw unavailable(`${operation} at redis`, closedByUs(), null, true);
    const call = this.#run(operation, command);
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  /** Waits a little for calls in flight, then sends QUIT. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #run<T>(operation: string, command: (client: Redis) => Promise<T>): Promise<T> {
    this.#link ??= this.#open(this.#options());
    const link = this.#link;
    const { host, port, connectTimeoutMs, commandTimeoutMs } = link.options;
    let sent = false;
    try {
      await within(link.ready, connectTimeoutMs, "no connection");
      sent = true;
      const answer = await within(command(link.client), commandTimeoutMs, "no answer");
      link.welcome = true;
      return answer;
    } catch (error) {
      this.#drop(link, error);
      const brokeOnName = link.naming && isHangUp(link.failure);
      if (brokeOnName && this.#closing === null) return await this.#runNameless(operation, command);
      const remedy = remedyFor(link.failure, { ...link.options, welcome: link.welcome });
      const what = `${operation} at redis ${host}:${port}`;
      // A server that says no has carried nothing out.
      throw unavailable(what, link.failure, remedy, !sent || error instanceof ReplyError);
    }
  }

  /** Once more; the connection may have broken for another reason, and then the name stays. */
  async #runNameless<T>(operation: string, command: (client: Redis) => Promise<T>): Promise<T> {
    this.#nameless = true;
    try {
      return await this.#run(operation, command);
    } catch (error) {
      this.#nameless = false;
      throw error;
    }
  }

  #open(options: RedisConnectionOptions): Link {
    const { host, port, tls } = options;
    const client = new Redis({
      host,
      port,
      ...(tls && { tls: {} }),
      // The bound is ours: this one would not count the name lookup and the log-in.
      connectTimeout: 0,
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: null,
      // A server that is loading says so in its answer; INFO would ask for one more permission.
      enableReadyCheck: false,
      // The lease needs nothing of RESP3, and not every proxy knows HELLO.
      protocol: 2,
      disableClientInfo: true,
    });
    const ready = Promise.withResolvers<void>();
    const link: Link = {
      options,
      client,
      nameless: this.#nameless,
      ready: ready.promise,
      fail: ready.reject,
      naming: false,
      welcome: false,
      failure: null,
    };
    // The listener stays for the client's life: an 'error' event without one would end the process.
    client.on("error", (error) => this.#drop(link, error));
    client.once("end", () => this.#drop(link, new Error(HUNG_UP)));
    client.once("ready", () => {
      this.#prepare(link).then(ready.resolve, (error) => this.#drop(link, error));
    });
    client.connect().catch(() => undefined);
    return link;
  }

  async #prepare(link: Link): Promise<void> {
    link.welcome = await logIn(link.client, link.options);
    if (link.nameless) return;
    link.naming = true;
    await nameConnection(link.client);
    link.naming = false;
    link.welcome = true;
  }

  #drop(link: Link, error: unknown): void {
    // The first failure is the cause of those that follow.
    link.failure ??= scrub(error, link.options.password);
    link.fail(link.failure);
    if (this.#link === link) {
      this.#link = null;
      const { host, port, log } = link.options;
      log?.debug({ host, port, err: link.failure }, "connection to redis dropped");
    }
    cut(link.client);
  }

  async #close(): Promise<void> {
    await within(this.#goodbye(), GOODBYE_WITHIN_MS, "no answer").catch(() => undefined);
    if (this.#link !== null) this.#drop(this.#link, closedByUs());
  }

  async #goodbye(): Promise<void> {
    await Promise.allSettled(this.#calls);
    const client = this.#link?.client;
    await client?.quit();
    if (client && client.status !== "end") await once(client, "end");
  }
}

interface Link {
  readonly options: RedisConnectionOptions;
  readonly client: Redis;
  readonly nameless: boolean;
  readonly ready: Promise<void>;
  readonly fail: (error: unknown) => void;
  /** Whether the name is on its way, and nothing else. */
  naming: boolean;
  /** Whether the server has answered. */
  welcome: boolean;
  /** Why it was dropped; `null` while it is in use. */
  failure: unknown;
}

/** Settles with `promise`, or rejects after `timeoutMs`; what comes later is ignored. */
async function within<T>(promise: Promise<T>, timeoutMs: number, missing: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const tooLate = new Error(`${missing} within ${timeoutMs} ms`);
  const giveUp = () => late.reject(Object.assign(tooLate, { code: "ETIMEDOUT" }));
  // After a blocked event loop the answer may lie unread in the socket: one turn to read it before giving up.
  const timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ends a client at once; its waiting commands reject. */
function cut(client: Redis): void {
  const stream: typeof client.stream | undefined = client.stream;
  if (stream === undefined) client.disconnect();
  // A reset also discards what the kernel has not delivered yet: a SET retransmitted minutes later would lock
  // everybody out for a TTL. TLS and unfinished connections cannot be reset.
  else if (stream instanceof TLSSocket || stream.connecting) stream.destroy();
  else stream.resetAndDestroy();
}

/**
 * ioredis attaches the command to its error, and Redis quotes arguments of unknown commands: AUTH has the password, all
 * others the token of the lease.
 */
function scrub(error: unknown, password: string | null): unknown {
  if (!(error instanceof Error)) return error;
  Reflect.deleteProperty(error, "command");
  error.message = error.message.replace(QUOTED_ARGUMENTS, "");
  error.stack = error.stack?.replace(QUOTED_ARGUMENTS, "") ?? error.message;
  if (password) {
    error.message = error.message.replaceAll(password, "***");
    error.stack = error.stack?.replaceAll(password, "***") ?? error.message;
  }
  return error;
}

const QUOTED_ARGUMENTS = /,? with args beginning with:.*$/s;

function closedByUs(): Error {
  return new Error("closed by us");
}

function isHangUp(failure: unknown): boolean {
  if (!(failure instanceof Error)) return false;
  if (failure.message === HUNG_UP || failure.message === CONNECTION_IS_CLOSED) return true;
  return "code" in failure && /^(ECONNRESET|EPIPE)$/.test(String(failure.code));
}

const HUNG_UP = "the server closed the connection";
/** What ioredis says to commands that had no answer yet. */
const CONNECTION_IS_CLOSED = "Connection is closed.";

function unavailable(
  what: string,
  cause: unknown,
  remedy: string | null,
  withoutEffect: boolean,
): Error {
  const reason = reasonOf(cause).replace(/[.:\s]+$/, "");
  const message = [`${what} failed`, reason, remedy].filter((part) => part !== null).join(": ");
  return new LeaseUnavailableError(message, { cause, withoutEffect });
}

/** A refused connection to several addresses has an empty message and a code; OpenSSL's has source lines around it. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if ("reason" in cause && "library" in cause) return String(cause.reason);
  // The first sentence: what follows in some of Redis's answers is a manual.
  if (cause instanceof ReplyError) return cause.message.split(/\. (?=[A-Z])/)[0] ?? "";
  if (cause.message !== "") return cause.message;
  return "code" in cause ? String(cause.code) : cause.name;
}
