/** Answers that take their time. Every one of them is over at the question's own deadline. */
import { CHUNKED, drip, OK, raw } from "./answers.ts";
import { type HostileCase, TENANT_TEXT } from "./places.ts";

/** Long enough for the honest answers before the slow one; a slow one has not sent its limit of pieces by then. */
const WITHIN_MS = 1800;

function late(name: string, answer: HostileCase["answer"]): HostileCase {
  return {
    name,
    answer,
    options: { verifyTimeoutMs: WITHIN_MS },
    expected: {
      kind: "unreachable",
      failure: "timeout",
      what: `timed out: no complete answer within ${WITHIN_MS} ms`,
    },
  };
}

const dripped = (name: string, head: string, piece: string) => late(name, () => drip(head, piece));

export const LATE: readonly HostileCase[] = [
  late("silence", () => () => {}),
  late("half a status line", () => raw("HTTP/1.1 20")),
  late("a head without its end", () => raw(`${OK}x-a: ${TENANT_TEXT}\r\n`)),
  late("a head and nothing more", () => raw(`${OK}content-length: 100\r\n\r\n`)),
  late("an honest body that lacks its last byte", ({ honest }) => {
    const body = JSON.stringify(honest);
    return raw(`${OK}content-length: ${body.length + 1}\r\n\r\n${body}`);
  }),
  late("an honest body without the last chunk", ({ honest }) => {
    const body = JSON.stringify(honest);
    return raw(`${CHUNKED}${body.length.toString(16)}\r\n${body}\r\n`);
  }),
  dripped("a status line byte by byte", "HTTP/1.1 200 ", "x"),
  dripped("headers byte by byte", `${OK}x-a: `, "x"),
  dripped("a body byte by byte", `${OK}content-length: 100000\r\n\r\n"`, "x"),
  dripped("a body in chunks of one byte", `${CHUNKED}1\r\n"\r\n`, "1\r\nx\r\n"),
  dripped("a chunk's extension byte by byte", `${CHUNKED}1;`, "x"),
  dripped("trailers byte by byte", `${CHUNKED}2\r\n{}\r\n0\r\nx-a: `, "x"),
  dripped("one interim answer after the other", "", "HTTP/1.1 102 Processing\r\n\r\n"),
];

/** A refusal is one from its head on: nobody waits for its body. */
export const REFUSED: readonly HostileCase[] = [
  {
    name: "an outage with a body byte by byte",
    answer: () => drip("HTTP/1.1 503 Unavailable\r\ncontent-length: 10000\r\n\r\n", "x"),
    expected: {
      kind: "unreachable",
      failure: "server_error",
      statusCode: 503,
      what: "returned HTTP 503",
    },
  },
  {
    name: "a page of another server with a body byte by byte",
    answer: () => drip("HTTP/1.1 410 Gone\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    expected: { kind: "malformed", statusCode: 410, what: "returned HTTP 410" },
  },
];
