/**
 * Reads answers that a tenant's machine may have written. Whatever is sent takes little memory and little time: pieces
 * are copied as they come, and of what is copied only little is kept. So no answer ever waits for another one.
 */
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Dispatcher } from "undici";
import { JsonCollector } from "./json-collector.ts";

export interface BodyLimits {
  /** More is rejected. A legal answer can have 12.6 MB: two streams of 1 MiB, each character escaped. */
  readonly maxBytes: number;
  /** More is rejected, counted without what long texts lose. Legal answers are large because of their texts alone. */
  readonly maxKeptBytes: number;
  /**
   * More is rejected, however small they are: each takes the time of many bytes, and while a server sends them nothing
   * else gets done, the renewal of the lease not either.
   */
  readonly maxPieces: number;
}

/** A body that nobody wants is drained this far and this long, to keep the connection; then it is cut off. */
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
    return cutOff(body, tooLarge(limits));
  }
  return await readText(body, limits);
}

async function readText(body: Readable, limits: BodyLimits): Promise<JsonBody> {
  const collector = new JsonCollector(limits.maxKeptBytes);
  let size = 0;
  let pieces = 0;
  let what: string | null = null;
  // Not a loop over the body: that takes a promise for each piece, and there can be millions.
  body.on("data", (piece: Uint8Array) => {
    size += piece.length;
    pieces += 1;
    if (size > limits.maxBytes) what = tooLarge(limits);
    else if (pieces > limits.maxPieces) what = tooManyPieces(limits);
    else if (!collector.add(piece)) what = tooMuchKept(limits);
    if (what !== null) body.destroy();
  });
  try {
    await finished(body);
  } catch (error) {
    if (what === null) throw error;
    return { kind: "unusable", what };
  }
  return parse(collector.bytes);
}

function parse(bytes: Buffer): JsonBody {
  try {
    return { kind: "json", value: JSON.parse(new TextDecoder().decode(bytes)) };
  } catch {
    return { kind: "unusable", what: "answered with something that is not JSON" };
  }
}

function tooLarge({ maxBytes }: BodyLimits): string {
  return `answered with more than ${maxBytes} bytes`;
}

function tooMuchKept({ maxKeptBytes }: BodyLimits): string {
  return `answered with more than ${maxKeptBytes} bytes besides long texts`;
}

function tooManyPieces({ maxPieces }: BodyLimits): string {
  return `answered in more than ${maxPieces} pieces`;
}

function cutOff(body: Readable, what: string): JsonBody {
  body.on("error", ignore).destroy();
  return { kind: "unusable", what };
}

/** Gets rid of a body; never rejects. */
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

function ignore(): void {}
