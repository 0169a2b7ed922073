/**
 * The one way out to other people's servers. A call ends in an answer or in a named failure; it rejects only with the
 * caller's abort reason. Redirects are not followed, so that a key is never sent to a host it was not meant for, and
 * answers are read as they are: without decompression, in a fixed amount of memory.
 */
import { lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { bareHost, isForbiddenHost } from "../../rules/network/addresses.ts";
import type { ProxySettings } from "../../rules/network/no-proxy.ts";
import type { Clock } from "../../watchdog/ports.ts";
import { ForbiddenAddressError, guardLookup } from "./address-guard.ts";
import {
  type Answer,
  type CannotTell,
  errorCode,
  type HttpAnswer,
  malformed,
  timedOut,
  transportFailed,
} from "./answer.ts";
import type { CallBudget, HttpCall } from "./call.ts";
import { DeadlineError, withDeadline } from "./deadline.ts";
import { FloodError, limitInterimAnswers, Routes } from "./dispatcher.ts";
import { type BodyReader, exchange, type Headers, type ReadAnswer } from "./exchange.ts";
import {
  type BodyLimits,
  dateOf,
  discardBody,
  header,
  parseRetryAfter,
  readJson,
} from "./response.ts";
import { type Listener, spanEndOf, spanOf } from "./spans.ts";

export interface HttpClientOptions {
  /** `null`: every connection is direct. */
  readonly proxy: ProxySettings | null;
  readonly clock: Pick<Clock, "now" | "monotonicMs" | "after">;
  /** The system's resolver by default. */
  readonly lookup?: LookupFunction;
  readonly limits?: Partial<AnswerLimits>;
  /** 10 s by default: an unreachable host should not use up a whole verification. */
  readonly connectTimeoutMs?: number;
  /** Called each time that `BULK_BYTES` more have come in: about as many bytes of garbage are in memory. */
  readonly onBulk?: () => void;
  readonly tracing?: Listener;
}

const BULK_BYTES = 16 * 1024 * 1024;

export interface AnswerLimits extends BodyLimits {
  /** More ends the connection: status line, headers, body and framing, all that comes for one call. */
  readonly maxAnswerBytes: number;
}

const LIMITS: AnswerLimits = {
  maxBytes: 16 * 1024 * 1024,
  maxKeptBytes: 512 * 1024,
  maxPieces: 100_000,
  maxAnswerBytes: 20 * 1024 * 1024,
};

/** Makes a call, by the client or by a gate before it, within what is left of a budget. */
export type Send = (call: HttpCall) => Promise<Answer>;

const FORBIDDEN_ADDRESS = "was not sent: the address is not allowed";

export class HttpClient {
  readonly #clock: HttpClientOptions["clock"];
  readonly #connectTimeoutMs: number;
  readonly #limits: AnswerLimits;
  readonly #routes: Routes;
  readonly #guardedLookup: LookupFunction;
  readonly #onBulk: HttpClientOptions["onBulk"];
  readonly #tracing: HttpClientOptions["tracing"];
  #bulkBytes = 0;

  constructor(options: HttpClientOptions) {
    const { proxy, clock, lookup = systemLookup, connectTimeoutMs = 10_000 } = options;
    this.#clock = clock;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#onBulk = options.onBulk;
    this.#tracing = options.tracing;
    const { maxAnswerBytes: maxBytes } = this.#limits;
    const wire = { maxBytes, onReceived: (bytes: number) => this.#received(bytes) };
    this.#routes = new Routes({ proxy, lookup, connectTimeoutMs, wire });
    this.#guardedLookup = guardLookup(lookup);
  }

  /** Takes no longer than what is left of the budget. Rejects with `signal.reason`, at once, and with nothing else. */
  request(call: HttpCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    const tracer = this.#tracing?.current;
    if (!tracer) return this.#ask(call, budget, signal);
    return tracer.span(spanOf(call), () => this.#ask(call, budget, signal), spanEndOf);
  }

  /** Ends all calls in flight; later calls fail. */
  async close(): Promise<void> {
    await this.#routes.destroy();
  }

  async #ask(call: HttpCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    if (budget.leftMs === 0) return timedOut(call, "complete answer", budget.totalMs);
    if (call.guarded && isForbiddenHost(call.url)) return malformed(call, FORBIDDEN_ADDRESS);
    const sentMs = this.#clock.monotonicMs();
    try {
      // undici notices an abort only once it has a connection.
      const work = (own: AbortSignal) => this.#exchange(call, own);
      return await withDeadline(work, budget.leftMs, this.#clock, signal);
    } catch (error) {
      signal.throwIfAborted();
      return this.#failure(call, error, budget);
    } finally {
      budget.spend(this.#clock.monotonicMs() - sentMs);
    }
  }

  #received(bytes: number): void {
    this.#bulkBytes += bytes;
    if (this.#bulkBytes < BULK_BYTES) return;
    this.#bulkBytes = 0;
    this.#onBulk?.();
  }

  async #exchange(call: HttpCall, signal: AbortSignal): Promise<HttpAnswer> {
    if (call.guarded && this.#routes.isProxied(call.url)) await this.#checkName(call.url);
    const route = this.#routes.to(call.url, call.guarded);
    const request = {
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
    };
    const read: ReadAnswer<HttpAnswer> = (status, headers, settle) =>
      this.#read(call, status, headers, settle);
    return await exchange(route, { request, read, onInterim: limitInterimAnswers() }, signal);
  }

  #read(
    call: HttpCall,
    status: number,
    headers: Headers,
    settle: (answer: HttpAnswer) => void,
  ): BodyReader {
    const dateMs = dateOf(headers);
    if (hasAnswer(call, status)) {
      return readJson(headers, this.#limits, (body) =>
        settle(
          body.kind === "unusable"
            ? malformed(call, body.what)
            : { kind: "json", status, body: body.value, dateMs },
        ),
      );
    }
    const nowMs = this.#clock.now().getTime();
    const [retryAfter, date] = [header(headers, "retry-after"), header(headers, "date")];
    const retryAfterMs = parseRetryAfter(retryAfter, date, nowMs);
    return discardBody(() => settle({ kind: "status", status, retryAfterMs, dateMs }));
  }

  /** A proxy connects to whatever the name resolves to, so that is checked first. */
  async #checkName(url: URL): Promise<void> {
    const host = bareHost(url);
    if (isIP(host) !== 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#guardedLookup(host, { all: true }, (error) => (error ? reject(error) : resolve()));
    await promise;
  }

  #failure(call: HttpCall, error: unknown, budget: CallBudget): CannotTell {
    if (error instanceof DeadlineError) return timedOut(call, "complete answer", budget.totalMs);
    if (error instanceof ForbiddenAddressError) return malformed(call, FORBIDDEN_ADDRESS);
    if (error instanceof FloodError) return malformed(call, error.message);
    const code = errorCode(error);
    if (code === "UND_ERR_CONNECT_TIMEOUT") {
      return timedOut(call, "connection", this.#connectTimeoutMs);
    }
    return transportFailed(call, code);
  }
}

function hasAnswer({ expects }: HttpCall, statusCode: number): boolean {
  if (expects === "nothing") return false;
  return statusCode < 300 || (statusCode === 404 && expects === "json-or-404");
}
