/**
 * Reads answers that a tenant's machine may have written: as little memory as possible, whatever is sent.
 *
 * Small bodies are free. To grow further a body needs one of a few slots; without one it is not read, so TCP holds
 * the rest back. Two bodies of 16 MiB, one of them being copied into its last 16 MiB, are less than 48 MiB.
 */
import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { Semaphore } from "../semaphore.ts";
import { ByteCollector } from "./byte-collector.ts";

export interface BodyLimits {
  /** More is refused. A legal answer can have 12.6 MB: two streams of 1 MiB, each character escaped. */
  readonly maxBytes: number;
  /** Up to here no slot is needed. */
  readonly freeBytes: number;
  /** How many bodies may be larger than that at once. */
  readonly largeBodies: number;
  /**
   * How many arrays, objects and commas a large body may have: 16 MiB of `[],` take 240 MB once parsed. Legal answers
   * are large because of their texts, and have fewer than 100.
   */
  readonly maxLargeParts: number;
}

export const BODY_LIMITS: BodyLimits = {
  maxBytes: 16 * 1024 * 1024,
  freeBytes: 64 * 1024,
  largeBodies: 2,
  maxLargeParts: 10_000,
};

/** A body that nobody wants is drained this far and this long, to keep the connection; then it is cut off. */
const DISCARD_BYTES = 64 * 1024;
const DISCARD_MS = 250;

type Headers = Dispatcher.ResponseData["headers"];

/** `what` says what is wrong, as it goes into a failure's message. */
export type JsonBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "unusable"; readonly what: string };

export class BodyReader {
  readonly #limits: BodyLimits;
  readonly #largeBodies: Semaphore;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
    this.#largeBodies = new Semaphore(limits.largeBodies);
  }

  /** JSON whatever the content type says. The body is consumed or destroyed in every case. */
  async readJson(headers: Headers, body: Readable, signal: AbortSignal): Promise<JsonBody> {
    const encoding = header(headers, "content-encoding") ?? "identity";
    if (encoding.trim().toLowerCase() !== "identity") {
      return cutOff(body, "answered with a content-encoding that was not asked for");
    }
    if (Number(header(headers, "content-length") ?? 0) > this.#limits.maxBytes) {
      return cutOff(body, this.#tooLarge());
    }
    return await this.#readText(body, signal);
  }

  async #readText(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<JsonBody> {
    const { maxBytes, freeBytes } = this.#limits;
    const collector = new ByteCollector(maxBytes);
    let release: (() => void) | null = null;
    try {
      for await (const chunk of body) {
        if (collector.size + chunk.length > freeBytes) {
          release ??= await this.#largeBodies.acquire(signal);
        }
        // Leaving the loop destroys the body.
        if (!collector.add(chunk)) return { kind: "unusable", what: this.#tooLarge() };
      }
      return this.#parse(collector.bytes);
    } finally {
      release?.();
    }
  }

  #parse(bytes: Buffer): JsonBody {
    const { freeBytes, maxLargeParts } = this.#limits;
    if (bytes.length > freeBytes && countParts(bytes, maxLargeParts) > maxLargeParts) {
      return { kind: "unusable", what: `answered with more than ${maxLargeParts} parts` };
    }
    try {
      return { kind: "json", value: JSON.parse(new TextDecoder().decode(bytes)) };
    } catch {
      return { kind: "unusable", what: "answered with something that is not JSON" };
    }
  }

  #tooLarge(): string {
    return `answered with more than ${this.#limits.maxBytes} bytes`;
  }
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

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const PARTS: ReadonlySet<number> = new Set(Buffer.from("[{,"));

/** Brackets, braces and commas outside of texts; stops soon after `enough`. */
function countParts(bytes: Buffer, enough: number): number {
  let parts = 0;
  let inText = false;
  for (let at = 0; at < bytes.length && parts <= enough; at += 1) {
    const byte = bytes[at] ?? 0;
    if (inText) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) inText = true;
    else if (PARTS.has(byte)) parts += 1;
  }
  return parts;
}

function ignore(): void {}
