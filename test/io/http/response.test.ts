import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { startHttpServer } from "../../services/http-server.ts";
import { ask, askOnce, message, settleTraffic } from "../openhands/asking.ts";
import { openClient } from "./world.ts";

interface BodyCase {
  readonly name: string;
  readonly answer: (response: ServerResponse) => void;
  readonly expected: unknown;
}

const LIMITS = { maxBytes: 1000, maxKeptBytes: 1000, maxPieces: 100 };
const LARGE_BYTES = 4 * 1024 * 1024;
const UNREADABLE = "malformed: agent_server bash_events_search answered with";

/** A JSON text of so many bytes. */
function jsonOf(bytes: number): string {
  return `"${"x".repeat(bytes - 2)}"`;
}

/** The answer's body, or what is wrong with it. */
const bodyCases: readonly BodyCase[] = [
  {
    name: "reads JSON whatever its content type says",
    answer: (response) => response.writeHead(200, { "content-type": "text/plain" }).end('{"a":1}'),
    expected: { a: 1 },
  },
  {
    name: "reads JSON behind a byte order mark",
    answer: (response) => response.end(`\uFEFF{"a":1}`),
    expected: { a: 1 },
  },
  {
    name: "reads a text that is not quite UTF-8",
    answer: (response) => response.end(Buffer.from([0x22, 0xff, 0x22])),
    expected: "\uFFFD",
  },
  {
    name: "reads a body at the limit",
    answer: (response) => response.end(jsonOf(1000)),
    expected: jsonOf(1000).slice(1, -1),
  },
  {
    name: "reads a chunked body at the limit",
    answer: (response) => writeInTwo(response, jsonOf(1000)),
    expected: jsonOf(1000).slice(1, -1),
  },
  {
    name: "refuses a body one byte over the limit",
    answer: (response) => response.end(jsonOf(1001)),
    expected: `${UNREADABLE} more than 1000 bytes`,
  },
  {
    name: "refuses a chunked body one byte over the limit",
    answer: (response) => writeInTwo(response, jsonOf(1001)),
    expected: `${UNREADABLE} more than 1000 bytes`,
  },
  {
    name: "refuses a body that announces more than the limit and sends nothing",
    answer: (response) => response.writeHead(200, { "content-length": "1001" }).flushHeaders(),
    expected: `${UNREADABLE} more than 1000 bytes`,
  },
  {
    name: "refuses an endless body once it is over the limit",
    answer: (response) => void response.write("x".repeat(1001)),
    expected: `${UNREADABLE} more than 1000 bytes`,
  },
  {
    name: "reads a body in as many pieces as allowed",
    answer: (response) => writeBytes(response, jsonOf(100)),
    expected: jsonOf(100).slice(1, -1),
  },
  {
    name: "refuses a body in one piece more",
    answer: (response) => writeBytes(response, jsonOf(101)),
    expected: `${UNREADABLE.replace("with", "in")} more than 100 pieces`,
  },
  {
    name: "refuses HTML",
    answer: (response) => response.end("<!doctype html><title>Sign in</title>"),
    expected: `${UNREADABLE} something that is not JSON`,
  },
  {
    name: "refuses an empty body",
    answer: (response) => response.end(),
    expected: `${UNREADABLE} something that is not JSON`,
  },
  {
    name: "refuses a status without a body",
    answer: (response) => response.writeHead(204).end(),
    expected: `${UNREADABLE} something that is not JSON`,
  },
  {
    name: "refuses JSON that breaks off",
    answer: (response) => response.end('{"items":['),
    expected: `${UNREADABLE} something that is not JSON`,
  },
  {
    name: "refuses a gzipped answer",
    answer: (response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync('{"a":1}')),
    expected: `${UNREADABLE} a content-encoding that was not asked for`,
  },
  {
    name: "reads an answer that says it is not encoded",
    answer: (response) => response.writeHead(200, { "content-encoding": "Identity" }).end("7"),
    expected: 7,
  },
];

function writeBytes(response: ServerResponse, body: string): void {
  for (const byte of body) response.write(byte);
  response.end();
}

function writeInTwo(response: ServerResponse, body: string): void {
  response.write(body.slice(0, 500));
  response.end(body.slice(500));
}

describe("HttpClient.request reading a body", () => {
  for (const { name, answer, expected } of bodyCases) {
    it(name, async () => {
      const result = await askOnce((_, response) => answer(response), {}, LIMITS);
      expect(result.kind === "json" ? result.body : message(result)).toEqual(expected);
    });
  }

  for (const [name, headers] of [
    ["too large", { "content-length": "1001" }],
    ["encoded", { "content-encoding": "br" }],
  ] as const) {
    it(`closes the connection of an answer that is ${name}`, async () => {
      const closed = Promise.withResolvers<void>();
      await using server = await startHttpServer((_, response) => {
        response.once("close", closed.resolve);
        response.writeHead(200, headers).flushHeaders();
      });
      await using client = openClient({ limits: LIMITS });
      expect((await ask(client.http, server.origin)).kind).toBe("malformed");
      await closed.promise;
    });
  }

  it("ends a body that never ends at the deadline", async () => {
    const answer = await askOnce((_, response) => void response.write("[1,"), { timeoutMs: 50 });
    expect(message(answer)).toBe(
      "unreachable: agent_server bash_events_search timed out: no complete answer within 50 ms",
    );
  });

  it("reads a large body while others come to a stop in the middle", async () => {
    await using server = await startHttpServer((request, response) => {
      if (request.target === "/whole") return void response.end(jsonOf(LARGE_BYTES));
      response.write(jsonOf(LARGE_BYTES).slice(0, LARGE_BYTES / 2));
    });
    await using client = openClient();
    const controller = new AbortController();
    const { signal } = controller;
    const stuck = Array.from({ length: 15 }, () => ask(client.http, server.origin, { signal }));
    await server.arrived(15);
    await settleTraffic();
    const whole = await ask(client.http, server.origin, { path: "/whole" });
    expect(whole).toMatchObject({ kind: "json", status: 200 });
    controller.abort("done");
    const ended = await Promise.allSettled(stuck);
    expect(ended).toEqual(ended.map(() => ({ status: "rejected", reason: "done" })));
  });
});

describe("HttpClient.request keeping of a body what matters", () => {
  const limits = { maxBytes: 200_000, maxKeptBytes: 60_000 };
  const read = async (body: string) => {
    const result = await askOnce((_, response) => response.end(body), {}, limits);
    return result.kind === "json" ? result.body : message(result);
  };

  it("keeps the end of a text that is longer than all that may be kept", async () => {
    const long = `${"x".repeat(150_000)}the end`;
    const kept = await read(JSON.stringify({ exit_code: 0, stdout: long, stderr: "short" }));
    expect(kept).toEqual({ exit_code: 0, stdout: expect.any(String), stderr: "short" });
    expect(kept).toMatchObject({ stdout: expect.stringMatching(/^x{24000,49000}the end$/) });
  });

  it("keeps as much besides long texts as allowed", async () => {
    const body = `[${"1,".repeat(29_999)}1]`;
    expect(await read(body.replace("1,1", "1"))).toHaveLength(29_999);
    expect(await read(body.replace("1,1", "11"))).toHaveLength(29_999);
  });

  it("refuses one byte more than that", async () => {
    expect(await read(`[${"1,".repeat(29_999)}1]`)).toBe(
      `${UNREADABLE} more than 60000 bytes besides long texts`,
    );
  });
});
