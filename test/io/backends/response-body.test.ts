import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { startHttpServer } from "../../support/http-server.ts";
import { ask, askOnce, message, settleTraffic } from "./asking.ts";
import { openClient } from "./world.ts";

interface BodyCase {
  readonly name: string;
  readonly answer: (response: ServerResponse) => void;
  readonly expected: unknown;
}

const LIMITS = { maxBytes: 1000, freeBytes: 100, largeBodies: 2, maxLargeParts: 20 };
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
    name: "reads a large body with as many parts as allowed",
    answer: (response) => response.end(JSON.stringify([...Array(20).fill("xxxxxxxx")])),
    expected: Array(20).fill("xxxxxxxx"),
  },
  {
    name: "refuses a large body with one part too many",
    answer: (response) => response.end(JSON.stringify([...Array(21).fill("xxxxxxxx")])),
    expected: `${UNREADABLE} more than 20 parts`,
  },
  {
    name: "does not count the parts of texts",
    answer: (response) => response.end(JSON.stringify([`\\"${",[{".repeat(40)}\\`])),
    expected: [`\\"${",[{".repeat(40)}\\`],
  },
  {
    name: "does not count the parts of a small body",
    answer: (response) => response.end(JSON.stringify(Array(30).fill(1))),
    expected: Array(30).fill(1),
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

  it("lets a third large body wait until one of two is read", async () => {
    const held: ServerResponse[] = [];
    await using server = await startHttpServer((request, response) => {
      if (request.target !== "/held") return void response.end(jsonOf(900));
      response.write(jsonOf(900).slice(0, 500));
      held.push(response);
    });
    await using client = openClient({ limits: LIMITS });
    const first = ask(client.http, server.origin, { path: "/held" });
    const second = ask(client.http, server.origin, { path: "/held" });
    await server.arrived(2);
    await settleTraffic();

    const tooLate = await ask(client.http, server.origin, { timeoutMs: 50 });
    expect(tooLate).toMatchObject({ kind: "unreachable", failure: { kind: "timeout" } });

    const third = ask(client.http, server.origin);
    held[0]?.end(jsonOf(900).slice(500));
    const done = await Promise.race([first, second]);
    expect(done.kind).toBe("json");
    expect((await third).kind).toBe("json");
    held[1]?.end(jsonOf(900).slice(500));
    expect((await Promise.all([first, second])).map(({ kind }) => kind)).toEqual(["json", "json"]);
  });

  it("frees the place of a large body that is refused, breaks off, or is aborted", async () => {
    await using server = await startHttpServer((request, response) => {
      if (request.target === "/whole") return void response.end(jsonOf(900));
      response.write("x".repeat(request.target === "/huge" ? 2000 : 500), () => {
        if (request.target === "/broken") response.socket?.destroy();
      });
    });
    await using client = openClient({ limits: { ...LIMITS, largeBodies: 1 } });
    const kindOf = async (path: string, timeoutMs = 30_000) =>
      (await ask(client.http, server.origin, { path, timeoutMs })).kind;
    expect(await kindOf("/huge")).toBe("malformed");
    expect(await kindOf("/broken")).toBe("unreachable");
    expect(await kindOf("/endless", 50)).toBe("unreachable");
    expect(await kindOf("/whole")).toBe("json");
  });
});
