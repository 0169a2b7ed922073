/**
 * The one way out to other people's servers. A call ends in an answer or in a named failure; it rejects only with the
 * caller's abort reason. Redirects are not followed, so that a key never travels to a host it was not meant for, and
 * answers are read as they are: no decompression, no more than a fixed amount of memory.
 */
import { lookup as systemLookup } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import type { Dispatcher } from "undici";
import type { Evidence } from "../../rules/model.ts";
import type { Clock } from "../../watchdog/ports.ts";
import { abortable } from "./abortable.ts";
import { bareHost, ForbiddenAddressError, guardLookup, isForbiddenHost } from "./address-guard.ts";
import { FloodError, limitInterimAnswers } from "./answer-limit.ts";
import type { CallBudget } from "./call-budget.ts";
import { type ProxySettings, Routes } from "./dispatcher.ts";
import {
  type CallName,
  type CannotTell,
  isUnauthorizedStatus,
  malformed,
  type NotAsked,
  statusFailure,
  timedOut,
  transportFailed,
} from "./failure.ts";
import { type BodyLimits, discardBody, header, readJson } from "./response-body.ts";
import { parseHttpDate, parseRetryAfter } from "./retry-after.ts";

export interface HttpClientOptions {
  /** `null`: every connection is direct. */
  readonly proxy: ProxySettings | null;
  readonly clock: Pick<Clock, "now" | "monotonicMs" | "sleep">;
  /** The system's resolver by default. */
  readonly lookup?: LookupFunction;
  readonly limits?: Partial<AnswerLimits>;
  /** 10 s by default: an unreachable host should not use up a whole verification. */
  readonly connectTimeoutMs?: number;
  /** Called each time that `BULK_BYTES` more have come in: as many have become garbage. */
  readonly onBulk?: () => void;
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

export interface HttpCall extends CallName {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `nothing`: the status is the answer. `json-or-404`: what a 404 says matters, too. */
  readonly expects: "json" | "json-or-404" | "nothing";
  /** Refuses addresses of this host, this link and metadata services. */
  readonly guarded: boolean;
}

export type HttpAnswer =
  /** A status below 300 with JSON, or an expected 404 with JSON. */
  | {
      readonly kind: "json";
      readonly status: number;
      readonly body: unknown;
      /** The Date header, Unix milliseconds in whole seconds; `null` without a usable one. */
      readonly dateMs: number | null;
    }
  /** Any other status, or one below 300 when nothing was expected. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterMs: number | null }
  | CannotTell;

/** What came of a call, for those who may meet a gate before the client. */
export type Answer = HttpAnswer | NotAsked;

/** The client, or a gate before it. */
export interface Caller {
  request(call: HttpCall, budget: CallBudget, signal: AbortSignal): Promise<Answer>;
}

const FORBIDDEN_ADDRESS = "was not sent: the address is not allowed";

/** The call's time ran out; never leaves this file. */
class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

export class HttpClient {
  readonly #clock: HttpClientOptions["clock"];
  readonly #connectTimeoutMs: number;
  readonly #limits: AnswerLimits;
  readonly #routes: Routes;
  readonly #guardedLookup: LookupFunction;
  readonly #onBulk: () => void;
  #bulkBytes = 0;

  constructor(options: HttpClientOptions) {
    const { proxy, clock, lookup = systemLookup, connectTimeoutMs = 10_000 } = options;
    this.#clock = clock;
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#onBulk = options.onBulk ?? (() => {});
    const { maxAnswerBytes: maxBytes } = this.#limits;
    const wire = { maxBytes, onReceived: (bytes: number) => this.#received(bytes) };
    this.#routes = new Routes({ proxy, lookup, connectTimeoutMs, wire });
    this.#guardedLookup = guardLookup(lookup);
  }

  /** Takes no longer than what is left of the budget. Rejects with `signal.reason`, at once, and with nothing else. */
  async request(call: HttpCall, budget: CallBudget, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted();
    if (budget.leftMs === 0) return timedOut(call, "complete answer", budget.totalMs);
    if (call.guarded && isForbiddenHost(call.url)) return malformed(call, FORBIDDEN_ADDRESS);
    const sentMs = this.#clock.monotonicMs();
    const own = new AbortController();
    const onAbort = () => own.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#clock.sleep(budget.leftMs, own.signal).then(
      () => own.abort(new DeadlineError()),
      () => {},
    );
    try {
      // undici notices an abort only once it has a connection.
      return await abortable(this.#exchange(call, own.signal), own.signal);
    } catch (error) {
      signal.throwIfAborted();
      return this.#failure(call, error, budget);
    } finally {
      signal.removeEventListener("abort", onAbort);
      own.abort();
      budget.spend(this.#clock.monotonicMs() - sentMs);
    }
  }

  /** Cuts off whatever is in flight; later calls fail. */
  async close(): Promise<void> {
    await this.#routes.destroy();
  }

  #received(bytes: number): void {
    this.#bulkBytes += bytes;
    if (this.#bulkBytes < BULK_BYTES) return;
    this.#bulkBytes = 0;
    this.#onBulk();
  }

  async #exchange(call: HttpCall, signal: AbortSignal): Promise<HttpAnswer> {
    if (call.guarded && this.#routes.isProxied(call.url)) await this.#checkName(call.url);
    const route = this.#routes.to(call.url, call.guarded);
    const { statusCode, headers, body } = await route.request({
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
      onInfo: limitInterimAnswers(),
    });
    if (!hasAnswer(call, statusCode)) {
      await discardBody(body);
      return { kind: "status", status: statusCode, retryAfterMs: this.#retryAfterMs(headers) };
    }
    const read = await readJson(headers, body, this.#limits);
    if (read.kind === "unusable") return malformed(call, read.what);
    const dateMs = parseHttpDate(header(headers, "date"));
    return { kind: "json", status: statusCode, body: read.value, dateMs };
  }

  /** A proxy connects to whatever the name leads to, so what it leads to is looked at first. */
  async #checkName(url: URL): Promise<void> {
    const host = bareHost(url);
    if (isIP(host) !== 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#guardedLookup(host, { all: true }, (error) => (error ? reject(error) : resolve()));
    await promise;
  }

  #retryAfterMs(headers: Dispatcher.ResponseData["headers"]): number | null {
    const nowMs = this.#clock.now().getTime();
    return parseRetryAfter(header(headers, "retry-after"), header(headers, "date"), nowMs);
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

type Unasked = Extract<Evidence, { kind: "not-asked" }>;

/** What an answer means that is not the one hoped for. */
export function cannotTell(call: CallName, answer: HttpAnswer): CannotTell;
export function cannotTell(call: CallName, answer: Answer): CannotTell | Unasked;
export function cannotTell(call: CallName, answer: Answer): CannotTell | Unasked {
  switch (answer.kind) {
    case "not-asked":
      return { kind: answer.kind, reason: answer.reason };
    case "unreachable":
    case "malformed":
      return answer;
    case "status":
      return statusFailure(call, answer.status, answer.retryAfterMs);
    case "json":
      return statusFailure(call, answer.status, null);
  }
}

export function isUnauthorized(answer: Answer): boolean {
  return answer.kind === "status" && isUnauthorizedStatus(answer.status);
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
