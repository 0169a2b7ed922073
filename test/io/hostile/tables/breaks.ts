/** Connections that break off, in every phase of an answer: with a reset, and with an end in good order. */
import { CHUNKED, OK, rawThenEnd, rawThenReset } from "./answers.ts";
import type { Expected, HostileCase } from "./places.ts";

const SIZED = `${OK}content-length: 1000\r\n\r\n`;

const PHASES: readonly (readonly [name: string, sent: string])[] = [
  ["before the answer", ""],
  ["within the status line", "HTTP/1.1 20"],
  ["within a header", `${OK}content-le`],
  ["between two headers", OK],
  ["right after the head", SIZED],
  ["within a body of known length", `${SIZED}[{"id":`],
  ["right after the head of a chunked body", CHUNKED],
  ["within the size of a chunk", `${CHUNKED}1`],
  ["within a chunk", `${CHUNKED}10\r\n[{"id"`],
  ["between two chunks", `${CHUNKED}2\r\n{}\r\n`],
  ["before the end of the trailers", `${CHUNKED}2\r\n{}\r\n0\r\nx-a: b\r\n`],
];

const broken = (code: string): Expected => ({
  kind: "unreachable",
  failure: "transport",
  what: `transport error: ${code}`,
});

export const RESETS: readonly HostileCase[] = PHASES.map(([name, sent]) => ({
  name: `a reset ${name}`,
  answer: () => rawThenReset(sent),
  expected: broken("ECONNRESET"),
}));

export const ENDS: readonly HostileCase[] = PHASES.map(([name, sent]) => ({
  name: `an end ${name}`,
  answer: () => rawThenEnd(sent),
  expected: broken("UND_ERR_SOCKET"),
}));
