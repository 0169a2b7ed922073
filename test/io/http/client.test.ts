import { describe, expect, it } from "vitest";
import { CallBudget } from "../../../src/io/http/call.ts";
import { type Handler, sendJson, startHttpServer } from "../../services/http-server.ts";
import { ask, askOnce, message, settleTraffic } from "../openhands/asking.ts";
import { calm, clock, openClient, testNames } from "./world.ts";

describe("HttpClient.request", () => {
  it("sends what it was given and asks for an unencoded answer", async () => {
    await using server = await startHttpServer((_, response) => sendJson(response, 200, { a: 1 }));
    await using client = openClient();
    const call = { method: "POST", body: { name: "x" } } as const;
    const answer = await ask(client.http, server.origin, { path: "/p%2Fq?a=b", call });
    expect(answer).toMatchObject({ kind: "json", status: 200, body: { a: 1 } });
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
    await using client = openClient({ clock: { ...clock, monotonicMs: tickingBy(60_000) } });
    const budget = new CallBudget(100_000);
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
    expect(budget.leftMs).toBe(40_000);
    expect((await client.http.request(call, budget, calm())).kind).toBe("json");
    expect(budget.leftMs).toBe(0);
    expect(message(await client.http.request(call, budget, calm()))).toBe(
      "unreachable: sandbox_api get_sandbox timed out: no complete answer within 100000 ms",
    );
    expect(server.requests).toHaveLength(2);
  });

  for (const status of [204, 302, 307, 401, 404, 429, 500]) {
    it(`reports status ${status} when no body is expected`, async () => {
      const answer = await askOnce((_, response) => response.writeHead(status).end(), {
        call: { expects: "nothing" },
      });
      expect(answer).toEqual({
        kind: "status",
        status,
        retryAfterMs: null,
        dateMs: expect.any(Number),
      });
    });
  }

  it("reads Retry-After of a refusal", async () => {
    const answer = await askOnce((_, response) => {
      sendJson(response, 429, { error: "Rate limit exceeded" }, { "retry-after": "17" });
    });
    expect(answer).toEqual({
      kind: "status",
      status: 429,
      retryAfterMs: 17_000,
      dateMs: expect.any(Number),
    });
  });

  for (const [name, body] of [
    ["is endless", "x".repeat(200_000)],
    ["comes to a stop", "x"],
  ] as const) {
    it(`reports a refusal whose body ${name}, and closes the connection`, async () => {
      const closed = Promise.withResolvers<void>();
      await using server = await startHttpServer((_, response) => {
        response.once("close", closed.resolve);
        response.writeHead(503).write(body);
      });
      await using client = openClient();
      const answer = await ask(client.http, server.origin);
      expect(answer).toEqual({
        kind: "status",
        status: 503,
        retryAfterMs: null,
        dateMs: expect.any(Number),
      });
      await closed.promise;
    });
  }

  for (const status of [301, 302, 303, 307, 308]) {
    it(`does not follow a redirect with status ${status}`, async () => {
      await using target = await startHttpServer((_, response) => sendJson(response, 200, {}));
      const answer = await askOnce((_, response) => {
        response.writeHead(status, { location: `${target.origin}/stolen` }).end("{}");
      });
      expect(answer).toEqual({
        kind: "status",
        status,
        retryAfterMs: null,
        dateMs: expect.any(Number),
      });
      expect(target.requests).toEqual([]);
    });
  }
});

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
    await settleTraffic();
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

/** A monotonic clock that moves by so much with every look at it. */
function tickingBy(stepMs: number): () => number {
  let nowMs = 0;
  return () => {
    nowMs += stepMs;
    return nowMs;
  };
}
