import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool } from "undici";
import { limitAnswers, type WireLimits } from "./answer-limit.ts";

/** The proxy variables' values; `null` for one that is not set. */
export interface ProxySettings {
  readonly httpProxy: string | null;
  readonly httpsProxy: string | null;
  readonly noProxy: string | null;
}

export interface DispatcherOptions {
  /** `null`: every connection is direct. */
  readonly proxy: ProxySettings | null;
  readonly lookup: LookupFunction;
  readonly connectTimeoutMs: number;
  /** An answer that goes beyond them ends its connection. */
  readonly wire: WireLimits;
}

/** Idle connections are few and short: every sandbox is another host, and most are asked once. */
const KEEP_ALIVE_MS = 4_000;
const KEEP_ALIVE_MAX_MS = 10_000;

/**
 * undici as the client needs it. No `connections` limit: a request that waits for a connection does not notice its
 * signal. No timeouts but the one for connecting: the client's own deadline covers the rest.
 */
export function openDispatcher(settings: DispatcherOptions): Dispatcher {
  const { proxy, lookup, connectTimeoutMs, wire } = settings;
  const options = {
    allowH2: false,
    connect: { lookup, allowH2: false, timeout: connectTimeoutMs },
    connectTimeout: connectTimeoutMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // Whatever undici connects to comes by here: servers, proxies, and servers behind proxies.
    factory: (origin: string | URL, pool: Pool.Options) =>
      new Pool(origin, { ...pool, connect: limitAnswers(pool.connect, wire) }),
  };
  if (proxy === null) return new Agent(options);
  return new EnvHttpProxyAgent({
    ...options,
    // An empty text, because undici reads the environment itself when a value is missing.
    httpProxy: proxy.httpProxy ?? "",
    httpsProxy: proxy.httpsProxy ?? "",
    noProxy: proxy.noProxy ?? "",
    proxyTls: { allowH2: false },
    requestTls: { allowH2: false },
  });
}
