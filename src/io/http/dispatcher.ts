/**
 * The ways out, straight or by a proxy, with undici as the client needs it: bounded in memory, and cut off when a server
 * sends more in one answer than any honest one does.
 */
import type { LookupFunction } from "node:net";
import { Agent, buildConnector, type Dispatcher, Pool, ProxyAgent } from "undici";
import {
  isException,
  type ProxyException,
  type ProxySettings,
  parseNoProxy,
} from "../../rules/network/no-proxy.ts";
import { guardLookup } from "./address-guard.ts";

export interface RouteSettings {
  /** `null`: every connection is direct. */
  readonly proxy: ProxySettings | null;
  readonly lookup: LookupFunction;
  readonly connectTimeoutMs: number;
  /** An answer that goes beyond them ends its connection. */
  readonly wire: WireLimits;
}

export class Routes {
  readonly #open: Renewing;
  readonly #guarded: Renewing;
  readonly #httpProxy: Renewing | null;
  readonly #httpsProxy: Renewing | null;
  readonly #exceptions: readonly ProxyException[];

  constructor(settings: RouteSettings) {
    const { proxy, lookup } = settings;
    this.#open = new Renewing(() => new Agent(optionsOf(settings, lookup)));
    this.#guarded = new Renewing(() => new Agent(optionsOf(settings, guardLookup(lookup))));
    const by = (uri: string | null) =>
      uri === null ? null : new Renewing(() => openProxy(settings, uri));
    this.#httpProxy = by(proxy?.httpProxy ?? null);
    this.#httpsProxy = by(proxy?.httpsProxy ?? null) ?? this.#httpProxy;
    this.#exceptions = parseNoProxy(proxy?.noProxy ?? "").exceptions;
  }

  /** Then the proxy resolves the name. */
  isProxied(url: URL): boolean {
    return this.#proxyTo(url) !== null;
  }

  /** @param guarded whether a direct connection's address is checked. */
  to(url: URL, guarded: boolean): Dispatcher {
    const route = this.#proxyTo(url) ?? (guarded ? this.#guarded : this.#open);
    return route.to(url.origin);
  }

  /** Ends all calls in flight. */
  async destroy(): Promise<void> {
    const routes = [this.#open, this.#guarded, this.#httpProxy, this.#httpsProxy];
    await Promise.all(routes.map((route) => route?.destroy()));
  }

  #proxyTo(url: URL): Renewing | null {
    const proxy = url.protocol === "https:" ? this.#httpsProxy : this.#httpProxy;
    return proxy === null || isException(url, this.#exceptions) ? null : proxy;
  }
}

const MOST_ORIGINS = 100;

/**
 * undici keeps memory for every origin that was reached by a proxy or where a call was aborted, and every sandbox is an
 * origin. So from time to time a new dispatcher takes over, and the old one is closed when its last call has ended.
 */
class Renewing {
  readonly #open: () => Dispatcher;
  readonly #origins = new Set<string>();
  readonly #closing = new Set<Dispatcher>();
  #current: Dispatcher;

  constructor(open: () => Dispatcher) {
    this.#open = open;
    this.#current = open();
  }

  to(origin: string): Dispatcher {
    if (this.#origins.size >= MOST_ORIGINS && !this.#origins.has(origin)) this.#renew();
    this.#origins.add(origin);
    return this.#current;
  }

  async destroy(): Promise<void> {
    await Promise.all([this.#current, ...this.#closing].map((each) => each.destroy()));
  }

  #renew(): void {
    const old = this.#current;
    const closed = () => this.#closing.delete(old);
    this.#closing.add(old);
    old.close().then(closed, closed);
    this.#current = this.#open();
    this.#origins.clear();
  }
}

/** Idle connections are few and short: every sandbox is another host, and most are asked once. */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 10_000;

function openProxy(settings: RouteSettings, uri: string): Dispatcher {
  return new ProxyAgent({
    ...optionsOf(settings, settings.lookup),
    uri,
    proxyTls: { allowH2: false },
    requestTls: { allowH2: false },
  });
}

/**
 * No `connections` limit: a request that waits for a connection does not notice its signal. No timeouts but the one for
 * connecting: the client's own deadline covers the rest.
 */
function optionsOf({ connectTimeoutMs, wire }: RouteSettings, lookup: LookupFunction) {
  return {
    allowH2: false,
    connect: { lookup, allowH2: false, timeout: connectTimeoutMs },
    connectTimeout: connectTimeoutMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // Every connection of undici is made here: to servers, proxies, and servers behind proxies.
    factory: (origin: string | URL, pool: Pool.Options) =>
      new Pool(origin, { ...pool, connect: limitAnswers(pool.connect, wire) }),
  };
}

type Connector = buildConnector.connector;
type Connection = NonNullable<Parameters<buildConnector.Callback>[1]>;

/** `102 Processing`, `103 Early Hints`: honest servers send one or two. */
const MAX_INTERIM_ANSWERS = 100;

/** An answer exceeded a limit; the message can become a failure's. */
export class FloodError extends Error {
  override readonly name = "FloodError";
}

interface WireLimits {
  /** Of one answer: status line, headers, body and framing. */
  readonly maxBytes: number;
  /** Called with the size of everything received, over all connections. */
  readonly onReceived: (bytes: number) => void;
}

/**
 * Connects as `connect` says, to servers whose answers stay within the limits. These are counted on the wire, because
 * status lines, interim answers and chunk extensions can go on for ever without a byte of a body, and nobody who reads
 * the body would notice.
 */
function limitAnswers(connect: Pool.Options["connect"], limits: WireLimits): Connector {
  const open = typeof connect === "function" ? connect : buildConnector(connect);
  return (options, callback) =>
    open(options, (...result) => {
      const [, connection] = result;
      // After a failure undici leaves it out, whatever its types say.
      if (connection) watch(connection, limits);
      callback(...result);
    });
}

/** To be called for each interim answer of one call: they cost time like answers, and nothing else limits them. */
export function limitInterimAnswers(): () => void {
  let left = MAX_INTERIM_ANSWERS;
  return () => {
    left -= 1;
    if (left >= 0) return;
    throw new FloodError(`answered with more than ${MAX_INTERIM_ANSWERS} interim answers`);
  };
}

/** A connection has one request at a time, so everything received after it was sent belongs to its answer. */
function watch(connection: Connection, { maxBytes, onReceived }: WireLimits): void {
  let sent = 0;
  let received = 0;
  let answerFrom = 0;
  connection.on("readable", () => {
    if (connection.bytesWritten !== sent) {
      sent = connection.bytesWritten;
      answerFrom = received;
    }
    onReceived(connection.bytesRead - received);
    received = connection.bytesRead;
    if (received - answerFrom <= maxBytes) return;
    connection.destroy(new FloodError(`answered with more than ${maxBytes} bytes`));
  });
}
