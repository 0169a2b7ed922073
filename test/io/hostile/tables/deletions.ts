/** Answers to a DELETE. Its status is the answer; whatever else comes must neither be believed nor be waited for. */
import type { Handler } from "../../../services/http-server.ts";
import { CHUNKED, drip, flood, OK, raw, rawThenEnd, rawThenReset } from "./answers.ts";
import { TENANT_TEXT } from "./places.ts";

export interface Deletion {
  readonly name: string;
  readonly answer: Handler;
  /** What follows source and operation; `null`: it is deleted. */
  readonly failure: string | null;
  readonly absent?: boolean;
}

const LIMIT_BYTES = 256 * 1024;
export const DELETION_LIMITS = { maxAnswerBytes: LIMIT_BYTES };
/** Long enough for the minting before it, on a busy machine as well. */
export const DELETION_WITHIN_MS = 1000;
export const LATE = `timed out: no complete answer within ${DELETION_WITHIN_MS} ms`;

const body = `<html>${TENANT_TEXT}</html>`;
const closed = "connection: close\r\n";
const head = (status: string, headers = "") => `HTTP/1.1 ${status}\r\n${closed}${headers}\r\n`;

const answered = (status: string, headers = ""): Handler => rawThenEnd(head(status, headers), body);

export const DONE: readonly Deletion[] = [
  { name: "a page", answer: answered("200 OK"), failure: null },
  { name: "no body at all", answer: rawThenEnd(head("204 No Content")), failure: null },
  { name: "work that was only taken on", answer: answered("202 Accepted"), failure: null },
  {
    name: "a body that says it failed",
    answer: rawThenEnd(head("200 OK"), '{"success":false}'),
    failure: null,
  },
  {
    name: "a body that is packed",
    answer: answered("200 OK", "content-encoding: gzip\r\n"),
    failure: null,
  },
  {
    name: "a body of 20 MB",
    answer: rawThenEnd(head("200 OK"), "x".repeat(20_000_000)),
    failure: null,
  },
  {
    name: "a body without an end",
    answer: flood(CHUNKED, `1000\r\n${"x".repeat(4096)}\r\n`),
    failure: null,
  },
  { name: "a body that stops", answer: raw(`${OK}content-length: 9\r\n\r\n{`), failure: null },
  {
    name: "a body byte by byte",
    answer: drip(`${OK}content-length: 9999\r\n\r\n`, "x"),
    failure: null,
  },
  {
    name: "a body that breaks off",
    answer: rawThenReset(`${OK}content-length: 9\r\n\r\n{`),
    failure: null,
  },
];

const statuses = [
  "300 Multiple Choices",
  "301 Moved Permanently",
  "304 Not Modified",
  "400 Bad Request",
  "405 Method Not Allowed",
  "409 Conflict",
  "410 Gone",
  "418 I'm a teapot",
  "422 Unprocessable Content",
  "423 Locked",
  "599 Whatever",
  "999 Whatever",
];

export const NOT_DONE: readonly Deletion[] = [
  ...statuses.map((status) => ({
    name: `status ${status}`,
    answer: answered(status, "location: /elsewhere\r\n"),
    failure: `returned HTTP ${status.slice(0, 3)}`,
  })),
  {
    name: "a page that says it is not there",
    answer: answered("404 Not Found"),
    failure: "returned HTTP 404",
    absent: true,
  },
  { name: "silence", answer: () => {}, failure: LATE },
  { name: "headers byte by byte", answer: drip(`${OK}x-a: `, "x"), failure: LATE },
  {
    name: "one interim answer after the other",
    answer: drip("", "HTTP/1.1 102 Processing\r\n\r\n"),
    failure: LATE,
  },
  {
    name: "another protocol",
    answer: raw("220 smtp ready\r\n"),
    failure: "transport error: HTTPParserError",
  },
  { name: "an end", answer: rawThenEnd(), failure: "transport error: UND_ERR_SOCKET" },
  { name: "a reset", answer: rawThenReset(""), failure: "transport error: ECONNRESET" },
  {
    name: "a reset within the headers",
    answer: rawThenReset(`${OK}x-a: ${TENANT_TEXT}`),
    failure: "transport error: ECONNRESET",
  },
  {
    name: "headers without an end",
    answer: flood(OK, `x-a: ${TENANT_TEXT}\r\n`.repeat(100)),
    failure: "transport error: UND_ERR_HEADERS_OVERFLOW",
  },
  {
    name: "interim answers for ever",
    answer: flood("", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)),
    failure: "answered with more than 100 interim answers",
  },
  {
    name: "a status line without an end",
    answer: flood("HTTP/1.1 200 ", TENANT_TEXT.repeat(1000)),
    failure: `answered with more than ${LIMIT_BYTES} bytes`,
  },
];
