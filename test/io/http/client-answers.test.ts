import { describe, expect, it } from "vitest";
import { type Handler, sendJson } from "../../services/http-server.ts";
import { type Ask, askOnce, message } from "../openhands/asking.ts";

const OR_404: Ask = { call: { expects: "json-or-404" } };

function replying(status: number, body: unknown, headers = {}): Handler {
  return (_, response) => sendJson(response, status, body, headers);
}

describe("HttpClient.request that expects JSON or a 404", () => {
  for (const status of [200, 404]) {
    it(`reads what a ${status} says`, async () => {
      const answer = await askOnce(replying(status, { detail: "x" }), OR_404);
      expect(answer).toMatchObject({ kind: "json", status, body: { detail: "x" } });
    });
  }

  for (const status of [301, 400, 403, 405, 410, 500]) {
    it(`does not read what a ${status} says`, async () => {
      const answer = await askOnce(replying(status, { detail: "x" }), OR_404);
      expect(answer).toEqual({
        kind: "status",
        status,
        retryAfterMs: null,
        dateMs: expect.any(Number),
      });
    });
  }

  it("cannot tell from a 404 that is a page", async () => {
    const answer = await askOnce((_, response) => response.writeHead(404).end("<html>"), OR_404);
    expect(message(answer)).toBe(
      "malformed: agent_server bash_events_search answered with something that is not JSON",
    );
  });

  it("reads no more of a 404 than of any other answer", async () => {
    const body = { detail: "x".repeat(1000) };
    const answer = await askOnce(replying(404, body), OR_404, { maxBytes: 1000 });
    expect(message(answer)).toBe(
      "malformed: agent_server bash_events_search answered with more than 1000 bytes",
    );
  });

  it("leaves a 404 unread where only JSON is expected", async () => {
    const answer = await askOnce(replying(404, { detail: "x" }));
    expect(answer).toEqual({
      kind: "status",
      status: 404,
      retryAfterMs: null,
      dateMs: expect.any(Number),
    });
  });
});

describe("HttpClient.request and the Date of an answer", () => {
  it("reads it", async () => {
    const answer = await askOnce(replying(200, {}, { date: "Sat, 22 Aug 2026 10:00:07 GMT" }));
    expect(answer).toMatchObject({ dateMs: Date.UTC(2026, 7, 22, 10, 0, 7) });
  });

  for (const date of ["", "soon", "2026-08-22T10:00:00Z", "Sat, 22 Foo 2026 10:00:00 GMT"]) {
    it(`knows none when it is "${date}"`, async () => {
      expect(await askOnce(replying(200, {}, { date }))).toMatchObject({ dateMs: null });
    });
  }

  for (const status of [204, 401, 500]) {
    it(`reads it of a ${status} as well`, async () => {
      const date = "Sat, 22 Aug 2026 10:00:07 GMT";
      const answer = await askOnce((_, response) => response.writeHead(status, { date }).end(), {
        call: { expects: "nothing" },
      });
      expect(answer).toMatchObject({ kind: "status", dateMs: Date.UTC(2026, 7, 22, 10, 0, 7) });
    });
  }

  for (const [age, isKnown] of [
    ["0", true],
    ["", true],
    ["1", false],
    ["300", false],
  ] as const) {
    it(`${isKnown ? "reads it" : "knows none"} when the answer's Age is "${age}"`, async () => {
      const answer = await askOnce(replying(200, {}, { age }));
      expect(answer).toMatchObject({ dateMs: isKnown ? expect.any(Number) : null });
    });
  }

  it("knows none when there is none", async () => {
    const answer = await askOnce((_, response) => {
      response.sendDate = false;
      sendJson(response, 200, {});
    });
    expect(answer).toMatchObject({ kind: "json", dateMs: null });
  });
});
