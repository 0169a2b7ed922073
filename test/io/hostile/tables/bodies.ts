/** Answers that are HTTP, but whose bodies are not what they should be. */
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { body, CHUNKED, chunks, flood, OK, raw, rawThenEnd } from "./answers.ts";
import { type Expected, type HostileCase, type Place, TENANT_TEXT } from "./places.ts";

const MIB = 1024 * 1024;

const DEEP = 100_000;
const NESTED = `${"[".repeat(DEEP)}${"]".repeat(DEEP)}`;

const malformed = (what: string): Expected => ({ kind: "malformed", what });
const NOT_JSON = malformed("answered with something that is not JSON");
const ENCODED = malformed("answered with a content-encoding that was not asked for");
const TOO_LARGE = malformed(`answered with more than ${16 * MIB} bytes`);
const TOO_MUCH = malformed(`answered with more than ${MIB / 2} bytes besides long texts`);

type Content = string | Uint8Array;

/** What an honest server's body is turned into. */
function turned(
  name: string,
  turn: (honest: string) => Content,
  expected: Expected = NOT_JSON,
  headers = "",
): HostileCase {
  return { name, answer: (place) => body(turn(textOf(place)), headers), expected };
}

function encoded(name: string, encoding: string, encode: (honest: string) => Content): HostileCase {
  return turned(name, encode, ENCODED, `content-encoding: ${encoding}\r\n`);
}

/** An honest body with more in it than was asked for. */
function more(name: string, fields: string): HostileCase {
  return turned(`an honest body and ${name}`, (text) => text.replace("{", `{${fields},`), "honest");
}

function textOf({ honest }: Place): string {
  return JSON.stringify(honest);
}

export const NO_JSON: readonly HostileCase[] = [
  turned("a page with status 200", () => `<!doctype html><title>${TENANT_TEXT}</title>`),
  turned("nothing", () => ""),
  turned("spaces", () => " ".repeat(1000)),
  turned("a text without quotation marks", () => TENANT_TEXT),
  turned("an honest body and something after it", (honest) => `${honest}${TENANT_TEXT}`),
  turned("an honest body twice", (honest) => `${honest}\n${honest}`),
  turned("an honest body that breaks off", (honest) => honest.slice(0, -1)),
  turned("an honest body behind a comment", (honest) => `/* ${TENANT_TEXT} */ ${honest}`),
  turned("an honest body in a call", (honest) => `callback(${honest})`),
  turned("an honest body behind a guard", (honest) => `)]}',\n${honest}`),
  turned("an honest body behind two byte order marks", (honest) => `\uFEFF\uFEFF${honest}`),
  turned("an honest body in single quotes", (honest) => honest.replaceAll('"', "'")),
  turned("an honest body with a comma too many", (honest) => honest.replace(/([}\]])$/, ",$1")),
  turned("an honest body with a line break in a text", (honest) => honest.replace('"', '"\n')),
  turned("an honest body in UTF-16", (honest) => Buffer.from(honest, "utf16le")),
  turned("zero bytes", () => Buffer.alloc(1000)),
  turned("NaN", () => "NaN"),
  turned("a number with a leading zero", () => "007"),
  {
    name: "status 204",
    answer: () => rawThenEnd("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
    expected: NOT_JSON,
  },
  {
    name: "status 204 with an honest body",
    answer: (place) =>
      rawThenEnd(`HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n${textOf(place)}`),
    expected: NOT_JSON,
  },
];

export const ENCODED_BODIES: readonly HostileCase[] = [
  encoded("gzip", "gzip", gzipSync),
  encoded("deflate", "deflate", deflateSync),
  encoded("Brotli", "br", brotliCompressSync),
  encoded("two encodings, one of them none", "identity, gzip", gzipSync),
  encoded("an encoding that there is not", TENANT_TEXT, (honest) => honest),
  encoded("a gzip bomb", "gzip", () => gzipSync(Buffer.alloc(50 * MIB))),
  turned("gzip that says nothing of it", gzipSync, NOT_JSON),
  {
    name: "gzip as a transfer encoding",
    answer: (place) => {
      const packed = gzipSync(textOf(place));
      const size = packed.length.toString(16);
      const head = `${OK}transfer-encoding: gzip, chunked\r\nconnection: close\r\n\r\n${size}\r\n`;
      return rawThenEnd(head, packed, "\r\n0\r\n\r\n");
    },
    expected: NOT_JSON,
  },
];

export const STILL_HONEST: readonly HostileCase[] = [
  {
    name: "an honest body that says it is a page",
    answer: (place) =>
      rawThenEnd(
        `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n${textOf(place)}`,
      ),
    expected: "honest",
  },
  {
    name: "an honest body that says it is in another charset",
    answer: (place) =>
      rawThenEnd(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-16\r\nconnection: close\r\n\r\n${textOf(place)}`,
      ),
    expected: "honest",
  },
  {
    name: "an honest body in chunks of one byte",
    answer: (place) =>
      rawThenEnd(
        `${OK}transfer-encoding: chunked\r\nconnection: close\r\n\r\n`,
        chunks(...textOf(place)),
        "0\r\n\r\n",
      ),
    expected: "honest",
  },
  turned("an honest body behind a byte order mark", (honest) => `\uFEFF${honest}`, "honest"),
  more("brackets a hundred thousand deep", `"x":${NESTED}`),
  more("numbers beyond all bounds", '"x":1e400,"y":-1e400,"z":123456789012345678901234567890'),
  more("a field that is inherited by everything", '"__proto__":{"state":"failed","exit_code":1}'),
  more("names that are methods", '"toString":1,"constructor":null,"hasOwnProperty":[]'),
  more("a text of ten megabytes", `"x":"${"\\u0000".repeat(1_600_000)}"`),
  turned("an honest body between spaces", (honest) => `\n\t ${honest} \r\n`, "honest"),
  turned(
    "an honest body that says it is not encoded",
    (honest) => honest,
    "honest",
    "content-encoding: IDENTITY\r\n",
  ),
];

export const LARGE: readonly HostileCase[] = [
  {
    name: "a body of 20 MB",
    answer: () => body(`"${"x".repeat(20_000_000)}"`),
    expected: TOO_LARGE,
  },
  {
    name: "a body of 20 MB that is only announced",
    answer: () => raw(`${OK}content-length: 20000000\r\n\r\n`),
    expected: TOO_LARGE,
  },
  {
    name: "a text without an end in chunks",
    answer: () => flood(`${CHUNKED}1\r\n"\r\n`, `10000\r\n${"x".repeat(65_536)}\r\n`),
    expected: TOO_LARGE,
  },
  {
    name: "a text without an end until the connection ends",
    answer: () => flood(`${OK}connection: close\r\n\r\n"`, "x".repeat(65_536)),
    expected: TOO_LARGE,
  },
  {
    name: "spaces without an end",
    answer: () => flood(`${OK}connection: close\r\n\r\n`, " ".repeat(65_536)),
    expected: TOO_MUCH,
  },
  {
    name: "chunks of one byte without an end",
    answer: () => flood(`${CHUNKED}1\r\n"\r\n`, "1\r\nx\r\n".repeat(10_000)),
    expected: malformed("answered in more than 100000 pieces"),
  },
  turned("a million elements", () => `[${"[],".repeat(1_000_000)}[]]`, TOO_MUCH),
  turned("a hundred thousand texts", () => JSON.stringify(Array(100_000).fill("text")), TOO_MUCH),
  turned("a number of a million digits", () => "1".repeat(1_000_000), TOO_MUCH),
  turned("a million brackets", () => "[".repeat(1_000_000), TOO_MUCH),
  turned("a hundred thousand brackets", () => "[".repeat(100_000)),
];
