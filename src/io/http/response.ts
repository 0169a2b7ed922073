/**
 * Reads answers, headers and body, that a tenant's machine may have written. Any answer takes little memory and time: its
 * pieces are copied as they come, and little of them is kept. So no answer ever waits for another one.
 */
import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
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

type Headers = Dispatcher.ResponseData["headers"];

/** `what` says what is wrong, as it goes into a failure's message. */
export type JsonBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "unusable"; readonly what: string };

/**
 * JSON whatever the content type says, with long texts cut to their ends. The body is consumed or destroyed in every
 * case. Rejects when it breaks off.
 */
export async function readJson(
  headers: Headers,
  body: Readable,
  limits: BodyLimits,
): Promise<JsonBody> {
  const encoding = header(headers, "content-encoding") ?? "identity";
  if (encoding.trim().toLowerCase() !== "identity") {
    return cutOff(body, "answered with a content-encoding that was not asked for");
  }
  if (Number(header(headers, "content-length") ?? 0) > limits.maxBytes) {
    return cutOff(body, tooLarge(limits.maxBytes));
  }
  const { maxBytes, maxKeptBytes, maxPieces } = limits;
  const collector = new JsonCollector(maxKeptBytes);
  let size = 0;
  let pieces = 0;
  let what: string | null = null;
  // Not a loop over the body: that takes a promise for each piece, and there can be millions.
  body.on("data", (piece: Uint8Array) => {
    size += piece.length;
    pieces += 1;
    if (size > maxBytes) what = tooLarge(maxBytes);
    else if (pieces > maxPieces) what = `answered in more than ${maxPieces} pieces`;
    else if (!collector.add(piece)) what = `${tooLarge(maxKeptBytes)} besides long texts`;
    if (what !== null) body.destroy();
  });
  try {
    await ended(body);
  } catch (error) {
    if (what === null) throw error;
    return { kind: "unusable", what };
  }
  try {
    return { kind: "json", value: JSON.parse(UTF8.decode(collector.bytes)) };
  } catch {
    return { kind: "unusable", what: "answered with something that is not JSON" };
  }
}

const UTF8 = new TextDecoder();

/** Node's `finished` does the same for streams of every kind, and costs as much as all the rest of a small answer. */
function ended(body: Readable): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  body.once("end", resolve).on("error", reject);
  body.once("close", () => {
    // It closes after each end as well, and an error costs as much as all the rest.
    if (!body.readableEnded) reject(new Error("the answer broke off"));
  });
  return promise;
}

function tooLarge(maxBytes: number): string {
  return `answered with more than ${maxBytes} bytes`;
}

function cutOff(body: Readable, what: string): JsonBody {
  body.on("error", () => {}).destroy();
  return { kind: "unusable", what };
}

/** Never rejects. */
export async function discardBody(body: Dispatcher.ResponseData["body"]): Promise<void> {
  const timer = setTimeout(() => body.destroy(), DISCARD_MS);
  try {
    await body.dump({ limit: DISCARD_BYTES });
  } catch {
    // The connection broke: the body is gone all the same.
  } finally {
    clearTimeout(timer);
  }
}

export function header(headers: Headers, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value.join(",") : value) ?? null;
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
