/** Answers that break HTTP, or use what it allows without measure. Nothing of them may reach a verdict. */
import type { Handler } from "../../../services/http-server.ts";
import { CHUNKED, chunks, flood, OK, raw, rawThenEnd } from "./answers.ts";
import { type Expected, type HostileCase, TENANT_TEXT } from "./places.ts";

const broken = (code: string): Expected => ({
  kind: "unreachable",
  failure: "transport",
  what: `transport error: ${code}`,
});
const NOT_HTTP = broken("HTTPParserError");
const OTHER_LENGTH = broken("UND_ERR_RES_CONTENT_LENGTH_MISMATCH");
const CUT_OFF = broken("UND_ERR_SOCKET");
const HEADERS_TOO_LONG = broken("UND_ERR_HEADERS_OVERFLOW");

const TOO_MANY_INTERIM: Expected = {
  kind: "malformed",
  what: "answered with more than 100 interim answers",
};

const LIMIT_BYTES = 256 * 1024;
const FLOODED: Pick<HostileCase, "options" | "expected"> = {
  options: { client: { limits: { maxAnswerBytes: LIMIT_BYTES } } },
  expected: { kind: "malformed", what: `answered with more than ${LIMIT_BYTES} bytes` },
};

/** Bytes in the place of a response. */
function garbled(name: string, text: string, expected: Expected = NOT_HTTP): HostileCase {
  return { name, answer: () => raw(text), expected };
}

/** An honest body under headers of one's own. */
function headed(name: string, headers: string, expected: Expected = NOT_HTTP): HostileCase {
  return {
    name,
    answer: ({ honest }) => raw(`${OK}${headers}\r\n\r\n${JSON.stringify(honest)}`),
    expected,
  };
}

export const GARBLED: readonly HostileCase[] = [
  garbled("another protocol", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
  garbled("HTTP/2 frames", "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
  garbled("a TLS alert", "\x15\x03\x03\0\x02\x02\x46"),
  garbled("a body without a head", `{"state":"succeeded"}\r\n\r\n`),
  garbled("a request in the place of a response", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
  garbled("a status of letters", `HTTP/1.1 OK ${TENANT_TEXT}\r\n\r\n`),
  garbled("a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
  garbled("a version that there is not", "HTTP/9.9 200 OK\r\n\r\n"),
  garbled("a header without a name", `${OK}: ${TENANT_TEXT}\r\n\r\n`),
  garbled("a header with a zero byte", `${OK}x-a: ${TENANT_TEXT}\0\r\n\r\n`),
  garbled("a header with a space in its name", `${OK}x a: ${TENANT_TEXT}\r\n\r\n`),
];

export const LENGTHS: readonly HostileCase[] = [
  headed("two lengths that differ", "content-length: 2\r\ncontent-length: 300", OTHER_LENGTH),
  headed("a list of lengths", "content-length: 2, 2", OTHER_LENGTH),
  headed("a negative length", "content-length: -1"),
  headed("a length with a fraction", "content-length: 2.5", OTHER_LENGTH),
  headed("a hexadecimal length", "content-length: 0x40"),
  headed("a length of letters", `content-length: ${TENANT_TEXT}`),
  headed("a length beyond 64 bits", "content-length: 99999999999999999999", OTHER_LENGTH),
  headed("a length and chunks", "content-length: 2\r\ntransfer-encoding: chunked", OTHER_LENGTH),
  headed("chunks that are announced and do not come", "transfer-encoding: chunked"),
  {
    name: "a body that is shorter than its length",
    answer: ({ honest }) =>
      rawThenEnd(`${OK}content-length: 10000\r\n\r\n${JSON.stringify(honest)}`),
    expected: CUT_OFF,
  },
];

export const CHUNKS: readonly HostileCase[] = [
  garbled("a chunk size of letters", `${CHUNKED}zz\r\n`),
  garbled("a negative chunk size", `${CHUNKED}-1\r\n`),
  garbled("a chunk size beyond 64 bits", `${CHUNKED}fffffffffffffffff\r\n`),
  garbled("a chunk that is longer than its size", `${CHUNKED}2\r\n{"state"\r\n`),
  {
    name: "chunks without an end",
    answer: ({ honest }) => rawThenEnd(CHUNKED, chunks(JSON.stringify(honest))),
    expected: CUT_OFF,
  },
];

export const INTERIM: readonly HostileCase[] = [
  garbled("100 without having been asked", "HTTP/1.1 100 Continue\r\n\r\n", CUT_OFF),
  garbled(
    "a change to another protocol",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
    CUT_OFF,
  ),
  {
    name: "a hundred early hints before the answer",
    answer: ({ honest }) => hinted(100, honest),
    expected: "honest",
  },
  {
    name: "a hundred and one early hints before the answer",
    answer: ({ honest }) => hinted(101, honest),
    expected: TOO_MANY_INTERIM,
  },
];

function hinted(hints: number, honest: unknown): Handler {
  const head = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(hints);
  return rawThenEnd(`${head}${OK}connection: close\r\n\r\n${JSON.stringify(honest)}`);
}

export const FLOODS: readonly HostileCase[] = [
  {
    name: "interim answers for ever",
    answer: () => flood("", `HTTP/1.1 103 Early Hints\r\nx-a: ${TENANT_TEXT}\r\n\r\n`.repeat(100)),
    expected: TOO_MANY_INTERIM,
  },
  {
    name: "a status line without an end",
    answer: () => flood("HTTP/1.1 200 ", TENANT_TEXT.repeat(1000)),
    ...FLOODED,
  },
  {
    name: "a chunk's extension without an end",
    answer: () => flood(`${CHUNKED}1;a=`, TENANT_TEXT.repeat(1000)),
    ...FLOODED,
  },
  {
    name: "chunks of one byte for ever",
    answer: () => flood(`${CHUNKED}1\r\n"\r\n`, "1\r\nx\r\n".repeat(1000)),
    ...FLOODED,
  },
  {
    name: "headers without an end",
    answer: () => flood(OK, `x-a: ${TENANT_TEXT}\r\n`.repeat(100)),
    expected: HEADERS_TOO_LONG,
  },
  {
    name: "one header without an end",
    answer: () => flood(`${OK}x-a: `, TENANT_TEXT.repeat(100)),
    expected: HEADERS_TOO_LONG,
  },
  {
    name: "trailers without an end",
    answer: () => flood(`${CHUNKED}2\r\n{}\r\n0\r\n`, `x-a: ${TENANT_TEXT}\r\n`.repeat(100)),
    expected: HEADERS_TOO_LONG,
  },
];
