/**
 * Reads answers, headers and body, that a tenant's machine may have written. Any answer takes little memory and time: its
 * pieces are copied as they come, and little of them is kept. So no answer ever waits for another one.
 */
import type { BodyReader, Headers } from "./exchange.ts";
import { JsonCollector } from "./json-collector.ts";

export interface BodyLimits {
  /** More is rejected. A legal answer can have 12.6 MB: two streams of 1 MiB, each character escaped. */
  readonly maxBytes: number;
  /** More is rejected, counted after long texts were cut. Legal answers are large because of their texts alone. */
  readonly maxKeptBytes: number;
  /**
   * More is rejected, however small they are: each takes the time of many bytes, and while a server sends them nothing
   * else gets done, the renewal of the lease not either.
   */
  readonly maxPieces: number;
}

/** An unused body is read this far and this long, so that the connection can be used again; then it is closed. */
const DISCARD_BYTES = 64 * 1024;
const DISCARD_MS = 250;

/** `what` says what is wrong, as it goes into a failure's message. */
export type JsonBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "unusable"; readonly what: string };

/**
 * JSON whatever the content type says, with long texts cut to their ends. What cannot be used is not read on.
 */
export function readJson(
  headers: Headers,
  limits: BodyLimits,
  settle: (body: JsonBody) => void,
): BodyReader {
  const reader = new JsonReader(limits, settle);
  const encoding = header(headers, "content-encoding") ?? "identity";
  if (encoding.trim().toLowerCase() !== "identity") {
    reader.cutOff("answered with a content-encoding that was not asked for");
  } else if (Number(header(headers, "content-length") ?? 0) > limits.maxBytes) {
    reader.cutOff(tooLarge(limits.maxBytes));
  }
  return reader;
}

class JsonReader implements BodyReader {
  readonly #limits: BodyLimits;
  readonly #settle: (body: JsonBody) => void;
  readonly #collector: JsonCollector;
  #size = 0;
  #pieces = 0;

  constructor(limits: BodyLimits, settle: (body: JsonBody) => void) {
    this.#limits = limits;
    this.#settle = settle;
    this.#collector = new JsonCollector(limits.maxKeptBytes);
  }

  onPiece(piece: Uint8Array): void {
    const { maxBytes, maxKeptBytes, maxPieces } = this.#limits;
    this.#size += piece.length;
    this.#pieces += 1;
    if (this.#size > maxBytes) this.cutOff(tooLarge(maxBytes));
    else if (this.#pieces > maxPieces) this.cutOff(`answered in more than ${maxPieces} pieces`);
    else if (!this.#collector.add(piece)) {
      this.cutOff(`${tooLarge(maxKeptBytes)} besides long texts`);
    }
  }

  onEnd(): void {
    this.#settle(parsed(this.#collector.bytes));
  }

  cutOff(what: string): void {
    this.#settle({ kind: "unusable", what });
  }
}

function parsed(bytes: Uint8Array): JsonBody {
  try {
    return { kind: "json", value: JSON.parse(UTF8.decode(bytes)) };
  } catch {
    return { kind: "unusable", what: "answered with something that is not JSON" };
  }
}

const UTF8 = new TextDecoder();

function tooLarge(maxBytes: number): string {
  return `answered with more than ${maxBytes} bytes`;
}

/** @param done called once, when the body is read as far as it is going to be. */
export function discardBody(done: () => void): BodyReader {
  const end = () => {
    clearTimeout(timer);
    done();
  };
  const timer = setTimeout(end, DISCARD_MS).unref();
  let size = 0;
  return {
    onPiece(piece) {
      size += piece.length;
      if (size > DISCARD_BYTES) end();
    },
    onEnd: end,
    onBreak: end,
  };
}

export function header(headers: Headers, name: string): string | null {
  const value = headers[name];
  return typeof value === "object" ? value.join(",") : (value ?? null);
}

export const LONGEST_PAUSE_MS = 5 * 60_000;

/** RFC 9110's preferred form; `Date.parse` alone would take almost anything for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * How long a Retry-After header asks to wait, at most 5 minutes; `null` without a usable one.
 *
 * A date is measured against the answer's own Date header, so that a skewed clock does not matter.
 */
export function parseRetryAfter(
  retryAfter: string | null,
  date: string | null,
  nowMs: number,
): number | null {
  if (retryAfter === null) return null;
  const waitMs = /^\d+$/.test(retryAfter)
    ? Number(retryAfter) * 1000
    : (parseHttpDate(retryAfter) ?? Number.NaN) - (parseHttpDate(date) ?? nowMs);
  return waitMs >= 0 ? Math.min(waitMs, LONGEST_PAUSE_MS) : null;
}

/** A Date header tells whole seconds. */
export const DATE_PRECISION_MS = 1000;

/** The server's time when it made the answer, as `parseHttpDate`; a cache's answer was made some time ago. */
export function dateOf(headers: Headers): number | null {
  const isFresh = /^\s*0*\s*$/.test(header(headers, "age") ?? "");
  return isFresh ? parseHttpDate(header(headers, "date")) : null;
}

/** Unix milliseconds, in whole seconds; `null` for what is not a date. */
export function parseHttpDate(text: string | null): number | null {
  if (text === null || !HTTP_DATE.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}
