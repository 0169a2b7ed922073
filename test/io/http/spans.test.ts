import { describe, expect, it } from "vitest";
import type { Answer } from "../../../src/io/http/answer.ts";
import type { HttpCall } from "../../../src/io/http/call.ts";
import { type Handler, startHttpServer } from "../../services/http-server.ts";
import { type RecordedSpan, recordedTracer } from "../../support/memory/recorded-tracer.ts";
import { ask } from "../openhands/asking.ts";
import { calm, cloudWorld, openClient, replying, runOf } from "./world.ts";

describe("a traced call", () => {
  it("is named after its method and what it asks, and says how it was answered", async () => {
    const { span, answer } = await tracedAsk(replying(200, { a: 1 }));
    expect(span).toEqual({
      name: "GET bash_events_search",
      kind: "client",
      attributes: {
        "http.request.method": "GET",
        "watchdog.source": "agent_server",
        "watchdog.operation": "bash_events_search",
      },
      end: { attributes: { "http.response.status_code": 200 }, errorType: null },
    });
    expect(answer).toMatchObject({ kind: "json", body: { a: 1 } });
  });

  const failing: readonly (readonly [how: string, handler: Handler, errorType: string])[] = [
    ["is not understood", replying(400), "400"],
    ["is refused", replying(401), "401"],
    ["is throttled", replying(429), "429"],
    ["meets a broken server", replying(503), "503"],
    ["is cut off", (_, response) => void response.destroy(), "transport"],
    ["is answered with something else", (_, response) => void response.end("<html>"), "malformed"],
  ];
  for (const [how, handler, errorType] of failing) {
    it(`that ${how} says ${errorType}`, async () => {
      expect((await tracedAsk(handler)).span?.end).toMatchObject({ errorType });
    });
  }

  it("is no failure below 400", async () => {
    const { span } = await tracedAsk(replying(399), { expects: "nothing" });
    const attributes = { "http.response.status_code": 399 };
    expect(span?.end).toEqual({ attributes, errorType: null });
  });

  it("holds neither addresses nor keys, and sends no more than without a tracer", async () => {
    const { tracer, spans } = recordedTracer();
    const seen = async (current: typeof tracer | null) => {
      await using world = await cloudWorld({ client: { tracing: { current } } });
      await world.backend.verify(runOf(), calm());
      const told = [JSON.stringify(spans), world.server.port] as const;
      return { told, headers: world.server.requests.map(({ headers }) => Object.keys(headers)) };
    };
    const plain = await seen(null);
    expect(spans).toEqual([]);
    const { told, headers } = await seen(tracer);
    expect(spans.map(({ name }) => name)).toEqual([
      "POST mint_api_key",
      "GET get_sandbox",
      "GET bash_events_search",
    ]);
    const [text, port] = told;
    for (const secret of ["127.0.0.1", String(port), "sk-oh-1", "session-1", "service-key-1"]) {
      expect(text).not.toContain(secret);
    }
    expect(headers).toEqual(plain.headers);
  });
});

async function tracedAsk(
  handler: Handler,
  call: Partial<HttpCall> = {},
): Promise<{ readonly span: RecordedSpan | undefined; readonly answer: Answer }> {
  const { tracer, spans } = recordedTracer();
  await using server = await startHttpServer(handler);
  await using client = openClient({ tracing: { current: tracer } });
  const answer = await ask(client.http, server.origin, { call });
  expect(spans).toHaveLength(1);
  return { span: spans[0], answer };
}
