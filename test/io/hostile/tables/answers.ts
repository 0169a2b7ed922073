/** Ways to answer that no server framework offers. */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Handler } from "../../../services/http-server.ts";

export const OK = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/** These bytes in the place of a response; the connection stays open. */
export function raw(...parts: readonly (string | Uint8Array)[]): Handler {
  return (_, { socket }) => {
    for (const part of parts) socket?.write(part);
  };
}

/** These bytes, and then the end of the connection. */
export function rawThenEnd(...parts: readonly (string | Uint8Array)[]): Handler {
  return (_, { socket }) => {
    for (const part of parts) socket?.write(part);
    socket?.end();
  };
}

/** The head once, and then the piece again and again, as fast as it is read. */
export function flood(head: string, piece: string): Handler {
  return async (_, { socket }) => {
    if (socket === null) return;
    // Only the other side ends this.
    await pipeline(Readable.from(endless(head, piece)), socket).catch(() => undefined);
  };
}

async function* endless(head: string, piece: string) {
  yield head;
  while (true) yield piece;
}

/** A whole response with this body, and then the end of the connection. */
export function body(content: string | Uint8Array, headers: string = ""): Handler {
  const length = Buffer.byteLength(content);
  return rawThenEnd(
    `${OK}${headers}connection: close\r\ncontent-length: ${length}\r\n\r\n`,
    content,
  );
}

/** Chunks of a chunked body, without the last one. */
export function chunks(...contents: readonly string[]): string {
  return contents.map((each) => `${Buffer.byteLength(each).toString(16)}\r\n${each}\r\n`).join("");
}

export const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;

const DRIP_MS = 20;

/** The head at once, and then the piece every now and then, for ever. */
export function drip(head: string, piece: string): Handler {
  return async (_, { socket }) => {
    if (socket === null) return;
    await pipeline(Readable.from(dripping(head, piece)), socket).catch(() => undefined);
  };
}

async function* dripping(head: string, piece: string) {
  yield head;
  while (true) {
    await sleep(DRIP_MS);
    yield piece;
  }
}

/** These bytes, and as soon as they have left, a reset of the connection. */
export function rawThenReset(text: string): Handler {
  return (_, { socket }) => void socket?.write(text, () => socket.resetAndDestroy());
}
