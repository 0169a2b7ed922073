import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { CallBudget } from "../../../src/io/backends/call-budget.ts";
import type { Answer, HttpCall, HttpClient } from "../../../src/io/backends/http-client.ts";
import {
  type Handler,
  type SeenRequest,
  sendJson,
  startHttpServer,
} from "../../support/http-server.ts";
import { calm, clock, openClient, testNames } from "./world.ts";

interface Ask {
  readonly path?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly call?: Partial<HttpCall>;
}

async function ask(http: HttpClient, origin: string, options: Ask = {}): Promise<Answer> {
  const call: HttpCall = {
    source: "agent_server",
    operation: "bash_events_search",
    method: "GET",
    url: new URL(options.path ?? "/", origin),
    headers: { "x-session-api-key": "s3cret" },
    expects: "json",
    guarded: false,
    ...options.call,
  };
  const budget = new CallBudget(options.timeoutMs ?? 30_000);
  return await http.request(call, budget, options.signal ?? calm());
}

/** One server, one client, one answer. */
async function askOnce(handler: Handler, options: Ask = {}, limits = {}): Promise<Answer> {
  await using server = await startHttpServer(handler);
  await using client = openClient({ limits });
  return await ask(client.http, server.origin, options);
}

function message(answer: Answer): string | null {
  return answer.kind === "unreachable" || answer.kind === "malformed"
    ? `${answer.kind}: ${answer.failure.message}`
    : null;
}

describe("HttpClient.request", () => {
  it("sends what it was given and asks for an unencoded answer", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, { a: 1 }));
    await using client = openClient();
    const call = { method: "POST", body: { name: "x" } } as const;
    const answer = await ask(client.http, server.origin, { path: "/p%2Fq?a=b", call });
    expect(answer).toEqual({ kind: "json", status: 200, body: { a: 1 } });
    expect(server.requests).toMatchObject([
      {
        method: "POST",
        target: "/p%2Fq?a=b",
        body: '{"name":"x"}',
        headers: {
          "accept-encoding": "identity",
          "content-type": "application/json",
          "x-session-api-key": "s3cret",
        },
      },
    ]);
  });

  it("keeps connections for later requests, after a refusal as well", async () => {
    const ports = new Set<number | undefined>();
    await using server = await startHttpServer((request, response) => {
      ports.add(response.socket?.remotePort);
      sendJson(response, request.target === "/refused" ? 401 : 200, {});
    });
    await using client = openClient();
    for (const path of ["/refused", "/", "/refused", "/", "/refused", "/"]) {
      await ask(client.http, server.origin, { path });
    }
    // Two, because a connection is free again only a moment after its answer was read.
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  it("spends from the budget what a call took, and asks nothing when nothing is left", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using client = openClient({ clock: { ...clock, monotonicMs: tickingBy(600) } });
    const budget = new CallBudget(1_000);
    const call = {
      source: "sandbox_api",
      operation: "get_sandbox",
      method: "GET",
      url: new URL(server.origin),
      headers: {},
      expects: "json",
      guarded: false,
    } as const;
    expect((await client.http.request(call, budget, calm())).kind).toBe("json");
    expect(budget.leftMs).toBe(400);
    expect((await client.http.request(call, budget, calm())).kind).toBe("json");
    expect(budget.leftMs).toBe(0);
    expect(message(await client.http.request(call, budget, calm()))).toBe(
      "unreachable: sandbox_api get_sandbox timed out: no complete answer within 1000 ms",
    );
    expect(server.requests).toHaveLength(2);
  });

  for (const status of [204, 302, 307, 401, 404, 429, 500]) {
    it(`reports status ${status} when no body is expected`, async () => {
      const answer = await askOnce((_, response) => response.writeHead(status).end(), {
        call: { expects: "nothing" },
      });
      expect(answer).toEqual({ kind: "status", status, retryAfterMs: null });
    });
  }

  it("reads Retry-After of a refusal", async () => {
    const answer = await askOnce((_, response) => {
      sendJson(response, 429, { error: "Rate limit exceeded" }, { "retry-after": "17" });
    });
    expect(answer).toEqual({ kind: "status", status: 429, retryAfterMs: 17_000 });
  });

  it("reports a refusal whose body never ends", async () => {
    const answer = await askOnce((_, response) => {
      response.writeHead(503);
      response.write("x".repeat(200_000));
    });
    expect(answer).toEqual({ kind: "status", status: 503, retryAfterMs: null });
  });

  for (const status of [301, 302, 303, 307, 308]) {
    it(`does not follow a redirect with status ${status}`, async () => {
      await using target = await startHttpServer((_, response) => sendJson(response, 200, {}));
      const answer = await askOnce((_, response) => {
        response.writeHead(status, { location: `${target.origin}/stolen` }).end("{}");
      });
      expect(answer).toEqual({ kind: "status", status, retryAfterMs: null });
      expect(target.requests).toEqual([]);
    });
  }
});

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
    await settleTraffic(client.http);

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

/** A round trip on a connection of its own: what was sent to the client before has arrived by then. */
async function settleTraffic(http: HttpClient): Promise<void> {
  await using server = await startHttpServer((_, response) => response.end("1"));
  for (let round = 0; round < 3; round += 1) await ask(http, server.origin);
}

interface BreakCase {
  readonly name: string;
  readonly handler: Handler;
}

const breakCases: readonly BreakCase[] = [
  {
    name: "before any answer",
    handler: (_, response) => void response.socket?.resetAndDestroy(),
  },
  {
    name: "in the headers",
    handler: (_, response) =>
      void response.socket?.write("HTTP/1.1 200 OK\r\ncontent-le", () =>
        response.socket?.resetAndDestroy(),
      ),
  },
  {
    name: "after the headers",
    handler: (_, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("", () => response.socket?.resetAndDestroy());
      response.flushHeaders();
    },
  },
  {
    name: "in the body",
    handler: (_, response) =>
      void response.write('{"items":', () => response.socket?.resetAndDestroy()),
  },
];

describe("HttpClient.request on a broken connection", () => {
  for (const { name, handler } of breakCases) {
    it(`reports a reset ${name} as a transport error`, async () => {
      const answer = await askOnce(handler);
      expect(answer).toMatchObject({ kind: "unreachable", failure: { kind: "transport" } });
      expect(message(answer)).toMatch(
        /^unreachable: agent_server bash_events_search transport error: (ECONNRESET|UND_ERR_SOCKET)$/,
      );
    });
  }

  it("reports an answer that is not HTTP by its code", async () => {
    const answer = await askOnce((_, response) => void response.socket?.write("SSH-2.0-x\r\n\r\n"));
    expect(message(answer)).toBe(
      "unreachable: agent_server bash_events_search transport error: HTTPParserError",
    );
  });

  it("reports a refused connection by its code", async () => {
    const server = await startHttpServer(() => {});
    await server[Symbol.asyncDispose]();
    await using client = openClient();
    expect(message(await ask(client.http, server.origin))).toBe(
      "unreachable: agent_server bash_events_search transport error: ECONNREFUSED",
    );
  });

  it("reports a name that does not exist by its code", async () => {
    await using client = openClient({
      lookup: (_, __, callback) =>
        callback(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }), []),
    });
    expect(message(await ask(client.http, "http://tenant-7.example"))).toBe(
      "unreachable: agent_server bash_events_search transport error: ENOTFOUND",
    );
  });

  it("ends a connection that is never made at its own deadline", async () => {
    await using client = openClient({ connectTimeoutMs: 50, lookup: () => {} });
    expect(message(await ask(client.http, "http://tenant-7.example"))).toBe(
      "unreachable: agent_server bash_events_search timed out: no connection within 50 ms",
    );
  });

  it("fails, and does not hang, after it was closed", async () => {
    const client = openClient();
    await client.http.close();
    const answer = await ask(client.http, "http://127.0.0.1:9");
    expect(answer).toMatchObject({ kind: "unreachable", failure: { kind: "transport" } });
  });

  it("cuts off what is in flight when it is closed", async () => {
    await using server = await startHttpServer(() => {});
    const client = openClient();
    const asked = ask(client.http, server.origin);
    await server.arrived(1);
    await client.http.close();
    expect(await asked).toMatchObject({ kind: "unreachable", failure: { kind: "transport" } });
  });
});

describe("HttpClient.request when aborted", () => {
  const reason = new Error("the lease was lost");

  it("rejects with the reason without asking when it is aborted already", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using client = openClient();
    const signal = AbortSignal.abort(reason);
    await expect(ask(client.http, server.origin, { signal })).rejects.toBe(reason);
    expect(server.requests).toEqual([]);
  });

  it("rejects with the reason while it waits for an answer, and closes the connection", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await startHttpServer((_, response) => {
      response.once("close", closed.resolve);
    });
    await using client = openClient();
    const controller = new AbortController();
    const asked = ask(client.http, server.origin, { signal: controller.signal });
    await server.arrived(1);
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await closed.promise;
  });

  it("rejects with the reason in the middle of a body, and closes the connection", async () => {
    const closed = Promise.withResolvers<void>();
    const writing = Promise.withResolvers<void>();
    await using server = await startHttpServer((_, response) => {
      response.once("close", closed.resolve);
      response.write("[1,", () => writing.resolve());
    });
    await using client = openClient();
    const controller = new AbortController();
    const asked = ask(client.http, server.origin, { signal: controller.signal });
    await writing.promise;
    await settleTraffic(client.http);
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await closed.promise;
  });

  it("rejects with the reason while there is no connection yet, and sends nothing later", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
    const asking = Promise.withResolvers<() => void>();
    await using client = openClient({
      lookup: (_, options, callback) =>
        asking.resolve(() => testNames("late.test", options, callback)),
    });
    const controller = new AbortController();
    const origin = `http://late.test:${server.port}`;
    const asked = ask(client.http, origin, { signal: controller.signal });
    const resolveName = await asking.promise;
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    resolveName();
    expect((await ask(client.http, server.origin, { path: "/later" })).kind).toBe("json");
    expect(server.requests.map(({ target }) => target)).toEqual(["/later"]);
  });

  it("rejects with a reason that is no error", async () => {
    await using server = await startHttpServer(() => {});
    await using client = openClient();
    const controller = new AbortController();
    const asked = ask(client.http, server.origin, { signal: controller.signal });
    await server.arrived(1);
    controller.abort("stop");
    await expect(asked).rejects.toBe("stop");
  });
});

describe("HttpClient.request with guarded addresses", () => {
  const call = { guarded: true };

  it("refuses a name that resolves to this host, and connects to nothing", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using client = openClient({ lookup: testNames });
    const answer = await ask(client.http, `http://agent.test:${server.port}`, { call });
    expect(message(answer)).toBe(
      "malformed: agent_server bash_events_search was not sent: the address is not allowed",
    );
    expect(server.requests).toEqual([]);
  });

  it("asks the same name when the call is not guarded", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
    await using client = openClient({ lookup: testNames });
    const answer = await ask(client.http, `http://agent.test:${server.port}`);
    expect(answer.kind).toBe("json");
  });

  it("refuses a name when only one of its addresses is forbidden", async () => {
    await using client = openClient({
      lookup: (_, __, callback) =>
        callback(null, [
          { address: "203.0.113.7", family: 4 },
          { address: "::1", family: 6 },
        ]),
    });
    const answer = await ask(client.http, "http://agent.test", { call });
    expect(answer.kind).toBe("malformed");
  });
});

describe("HttpClient.request with a proxy", () => {
  function proxyTo(url: string, noProxy: string | null = null) {
    return { proxy: { httpProxy: url, httpsProxy: null, noProxy } };
  }

  it("sends a request for another host to the proxy", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    await using client = openClient(proxyTo(proxy.origin));
    const answer = await ask(client.http, "http://app.example", { path: "/x?y=1" });
    expect(answer).toEqual({ kind: "json", status: 200, body: { p: 1 } });
    expect(proxy.requests.map(({ target }: SeenRequest) => target)).toEqual([
      "http://app.example/x?y=1",
    ]);
  });

  it("asks a host directly that the exceptions name", async () => {
    await using proxy = await startHttpServer((_, response) => sendJson(response, 200, { p: 1 }));
    await using server = await startHttpServer((_, response) => sendJson(response, 200, { s: 1 }));
    await using client = openClient(proxyTo(proxy.origin, "example.com,127.0.0.1"));
    expect(await ask(client.http, server.origin)).toMatchObject({ body: { s: 1 } });
    expect(proxy.requests).toEqual([]);
  });

  it("opens a tunnel for https, and reports a proxy that refuses it", async () => {
    await using proxy = await startHttpServer(() => {});
    const tunnels: (string | undefined)[] = [];
    await using client = openClient({
      proxy: { httpProxy: null, httpsProxy: proxy.origin, noProxy: null },
    });
    proxy.server.on("connect", (request, socket) => {
      tunnels.push(request.url);
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    });
    const answer = await ask(client.http, "https://app.example");
    expect(answer).toMatchObject({ kind: "unreachable", failure: { kind: "transport" } });
    expect(tunnels).toEqual(["app.example:443"]);
  });

  it("does not look at the environment's proxies by itself", async () => {
    const before = process.env["HTTP_PROXY"];
    process.env["HTTP_PROXY"] = "http://127.0.0.1:9";
    try {
      await using server = await startHttpServer((_, response) => sendJson(response, 200, {}));
      await using client = openClient({
        proxy: { httpProxy: null, httpsProxy: null, noProxy: null },
      });
      expect((await ask(client.http, server.origin)).kind).toBe("json");
    } finally {
      if (before === undefined) delete process.env["HTTP_PROXY"];
      else process.env["HTTP_PROXY"] = before;
    }
  });
});

/** A monotonic clock that moves by so much with every look at it. */
function tickingBy(stepMs: number): () => number {
  let nowMs = 0;
  return () => {
    nowMs += stepMs;
    return nowMs;
  };
}
