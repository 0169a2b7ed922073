import { describe, expect, it } from "vitest";
import type { HttpAnswer } from "../../../src/io/http/answer.ts";
import { malformed, timedOut, transportFailed } from "../../../src/io/http/answer.ts";
import { CallBudget, type HttpCall } from "../../../src/io/http/call.ts";
import { type ObservedCall, observed } from "../../../src/io/http/observed.ts";
import { FakeClock } from "../../support/memory/fake-clock.ts";
import { calm } from "./world.ts";

const CALL: HttpCall = {
  source: "sandbox_api",
  operation: "get_sandbox",
  method: "GET",
  url: new URL("http://api.test/"),
  headers: {},
  expects: "json",
  guarded: false,
};

const status = (code: number): HttpAnswer => ({
  kind: "status",
  status: code,
  retryAfterMs: null,
  dateMs: null,
});

const answers: readonly (readonly [string, HttpAnswer])[] = [
  ["ok", { kind: "json", status: 200, body: {}, dateMs: null }],
  ["not_found", { kind: "json", status: 404, body: {}, dateMs: null }],
  ["ok", status(204)],
  ["other_status", status(301)],
  ["other_status", status(400)],
  ["unauthorized", status(401)],
  ["unauthorized", status(403)],
  ["not_found", status(404)],
  ["timeout", status(408)],
  ["rate_limited", status(429)],
  ["server_error", status(500)],
  ["server_error", status(503)],
  ["timeout", timedOut(CALL, "complete answer", 30_000)],
  ["transport", transportFailed(CALL, "ECONNREFUSED")],
  ["malformed", malformed(CALL, "answered with something that is not JSON")],
];

describe("an observed call", () => {
  for (const [result, answer] of answers) {
    it(`is ${result} for ${describeAnswer(answer)}`, async () => {
      const { ask, calls } = setup(async () => answer);
      expect(await ask()).toBe(answer);
      expect(calls).toMatchObject([{ source: "sandbox_api", operation: "get_sandbox", result }]);
    });
  }

  it("tells how long it took", async () => {
    const { ask, calls, clock } = setup(async () => {
      await clock.advance(250);
      return status(204);
    });
    await ask();
    expect(calls).toMatchObject([{ durationMs: 250 }]);
  });

  it("says nothing of a call that was given up", async () => {
    const stop = new Error("stopping");
    const { ask, calls } = setup(() => Promise.reject(stop));
    await expect(ask()).rejects.toBe(stop);
    expect(calls).toEqual([]);
  });
});

function setup(request: () => Promise<HttpAnswer>) {
  const clock = new FakeClock();
  const calls: ObservedCall[] = [];
  const client = observed({ request }, clock, (call) => calls.push(call));
  return { clock, calls, ask: () => client.request(CALL, new CallBudget(30_000), calm()) };
}

function describeAnswer(answer: HttpAnswer): string {
  return "failure" in answer ? answer.failure.message : `HTTP ${answer.status} (${answer.kind})`;
}
