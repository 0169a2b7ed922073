/**
 * The one way out to other people's servers. A call ends in an answer or in a named failure; it rejects only with the
 * caller's abort reason. Redirects are not followed, so that a key never travels to a host it was not meant for, and
 * answers are read as they are: no decompression, no more than a fixed amount of memory.
 */
import { lookup as systemLookup } from "node:dns";
import type { LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import type { Clock } from "../../watchdog/ports.ts";
import { abortable } from "./abortable.ts";
import { ForbiddenAddressError, guardLookup, isForbiddenHost } from "./address-guard.ts";
import type { CallBudget } from "./call-budget.ts";
import { openDispatcher, type ProxySettings } from "./dispatcher.ts";
import {
  type CallName,
  type CannotTell,
  malformed,
  statusFailure,
  timedOut,
  transportFailed,
} from "./failure.ts";
import { BODY_LIMITS, type BodyLimits, BodyReader, discardBody, header } from "./response-body.ts";
import { parseRetryAfter } from "./retry-after.ts";

export interface HttpClientOptions {
  /** `null`: every connection is direct. */
  readonly proxy: ProxySettings | null;
  readonly clock: Pick<Clock, "now" | "monotonicMs">;
  /** The system's resolver by default. */
  readonly lookup?: LookupFunction;
  readonly limits?: Partial<BodyLimits>;
  /** 10 s by default: an unreachable host should not use up a whole verification. */
  readonly connectTimeoutMs?: number;
}

export interface HttpCall extends CallName {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `nothing`: the status is the answer. */
  readonly expects: "json" | "nothing";
  /** Refuses addresses of this host, this link and metadata services. */
  readonly guarded: boolean;
}

export type Answer =
  /** A status below 300 with JSON. */
  | { readonly kind: "json"; readonly status: number; readonly body: unknown }
  /** Any other status, or one below 300 when nothing was expected. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterMs: number | null }
  | CannotTell;

/** Every waiting body reads this far ahead, in chunks; chunks of one byte take a hundred times their size. */
const READ_AHEAD_BYTES = 4 * 1024;

const FORBIDDEN_ADDRESS = "was not sent: the address is not allowed";

/** The call's time ran out; never leaves this file. */
class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

export class HttpClient {
  readonly #clock: HttpClientOptions["clock"];
  readonly #connectTimeoutMs: number;
  readonly #bodies: BodyReader;
  readonly #open: Dispatcher;
  readonly #guarded: Dispatcher;

  constructor(options: HttpClientOptions) {
    const { proxy, clock, lookup = systemLookup, connectTimeoutMs = 10_000 } = options;
    this.#clock = clock;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#bodies = new BodyReader({ ...BODY_LIMITS, ...options.limits });
    this.#open = openDispatcher(proxy, lookup, connectTimeoutMs);
    this.#guarded = openDispatcher(proxy, guardLookup(lookup), connectTimeoutMs);
  }

  /** Takes no longer than what is left of the budget. Rejects with `signal.reason`, at once, and with nothing else. */
  async request(call: HttpCall, budget: CallBudget, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    if (budget.leftMs === 0) return timedOut(call, "complete answer", budget.totalMs);
    if (call.guarded && isForbiddenHost(call.url)) return malformed(call, FORBIDDEN_ADDRESS);
    const sentMs = this.#clock.monotonicMs();
    const own = new AbortController();
    const onAbort = () => own.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => own.abort(new DeadlineError()), budget.leftMs);
    try {
      // undici notices an abort only once it has a connection.
      return await abortable(this.#exchange(call, own.signal), own.signal);
    } catch (error) {
      signal.throwIfAborted();
      return this.#failure(call, error, budget);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      budget.spend(this.#clock.monotonicMs() - sentMs);
    }
  }

  /** Cuts off whatever is in flight; later calls fail. */
  async close(): Promise<void> {
    await Promise.all([this.#open.destroy(), this.#guarded.destroy()]);
  }

  async #exchange(call: HttpCall, signal: AbortSignal): Promise<Answer> {
    const dispatcher = call.guarded ? this.#guarded : this.#open;
    const { statusCode, headers, body } = await dispatcher.request({
      origin: call.url.origin,
      path: `${call.url.pathname}${call.url.search}`,
      method: call.method,
      headers: {
        accept: "application/json",
        "accept-encoding": "identity",
        "user-agent": "run-watchdog",
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...call.headers,
      },
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal,
      highWaterMark: READ_AHEAD_BYTES,
    });
    if (call.expects === "nothing" || statusCode >= 300) {
      await discardBody(body);
      return { kind: "status", status: statusCode, retryAfterMs: this.#retryAfterMs(headers) };
    }
    const read = await this.#bodies.readJson(headers, body, signal);
    if (read.kind === "unusable") return malformed(call, read.what);
    return { kind: "json", status: statusCode, body: read.value };
  }

  #retryAfterMs(headers: Dispatcher.ResponseData["headers"]): number | null {
    const nowMs = this.#clock.now().getTime();
    return parseRetryAfter(header(headers, "retry-after"), header(headers, "date"), nowMs);
  }

  #failure(call: HttpCall, error: unknown, budget: CallBudget): CannotTell {
    if (error instanceof DeadlineError) return timedOut(call, "complete answer", budget.totalMs);
    if (error instanceof ForbiddenAddressError) return malformed(call, FORBIDDEN_ADDRESS);
    const code = errorCode(error);
    if (code === "UND_ERR_CONNECT_TIMEOUT") {
      return timedOut(call, "connection", this.#connectTimeoutMs);
    }
    return transportFailed(call, code);
  }
}

/** What an answer means that is not the one hoped for. */
export function cannotTell(call: CallName, answer: Answer): CannotTell {
  switch (answer.kind) {
    case "unreachable":
    case "malformed":
      return answer;
    case "status":
      return statusFailure(call, answer.status, answer.retryAfterMs);
    case "json":
      return statusFailure(call, answer.status, null);
  }
}

/** Whether a secret from outside can travel in a header as it is. */
export function isHeaderToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** Codes and names are fixed words of Node's, OpenSSL's and undici's; an error's message can carry an address. */
function errorCode(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return /^\w{1,60}$/.test(code) ? code : "unknown";
}
