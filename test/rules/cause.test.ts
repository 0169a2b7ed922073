import { describe, expect, it } from "vitest";
import { cannotTell, malformed, timedOut, transportFailed } from "../../src/io/http/answer.ts";
import { causeOf, notAskedCause } from "../../src/rules/cause.ts";
import type { Failure } from "../../src/rules/model.ts";

const MINT = { source: "service_api", operation: "mint_api_key" } as const;
const OWN: Failure = {
  source: "backend",
  operation: "verify",
  kind: "unknown",
  statusCode: null,
  message: "",
  retryAfterMs: null,
};

describe("causeOf", () => {
  it.each([
    [
      "HTTP 401",
      cannotTell(MINT, { kind: "status", status: 401, retryAfterMs: null, dateMs: null }),
    ],
    [
      "HTTP 503",
      cannotTell(MINT, { kind: "status", status: 503, retryAfterMs: 1000, dateMs: null }),
    ],
    ["timed out: no complete answer", timedOut(MINT, "complete answer", 30_000)],
    ["timed out: no connection", timedOut(MINT, "connection", 10_000)],
    ["transport error: ECONNREFUSED", transportFailed(MINT, "ECONNREFUSED")],
    [
      "answered with something that is not JSON",
      malformed(MINT, "answered with something that is not JSON"),
    ],
    ["answered with too many bytes", malformed(MINT, "answered with more than 16777216 bytes")],
    [
      "answered with too many bytes besides long texts",
      malformed(MINT, "answered with more than 5000 bytes besides long texts"),
    ],
    ["answered in too many pieces", malformed(MINT, "answered in more than 50000 pieces")],
    [
      "was not sent: the sandbox's agent server url is not allowed",
      malformed(MINT, "was not sent: the sandbox's agent server url is not allowed"),
    ],
  ])("says who was asked for what, and %s", (what, { failure }: { failure: Failure }) => {
    expect(causeOf(failure)).toBe(`service_api mint_api_key: ${what}`);
  });

  it.each([
    ["unknown", "gave no usable answer"],
    ["timeout", "timed out"],
    ["transport", "transport error"],
    ["server_error", "failed"],
    ["rate_limited", "asked to be called less often"],
  ] as const)("does not repeat what a backend words by itself: %s", (kind, what) => {
    for (const message of ["job 4711 of tenant", "answered about job 4711", "a".repeat(1000)]) {
      expect(causeOf({ ...OWN, kind, message })).toBe(`backend verify: ${what}`);
    }
  });

  it("does not repeat names and statuses that are none", () => {
    const odd = { ...OWN, source: "10.0.0.1", operation: "a b", statusCode: 20_001 };
    expect(causeOf(odd)).toBe("backend verify: an unknown HTTP status");
    expect(causeOf({ ...odd, source: "x".repeat(41), statusCode: 599 })).toBe(
      "backend verify: HTTP 599",
    );
  });
});

describe("notAskedCause", () => {
  it("repeats a gate's own words, and nobody else's", () => {
    for (const reason of [
      "sandbox_api asked for a pause",
      "service_api asked for a pause for one owner",
      "sandbox_api keeps failing, its circuit breaker is open",
      "service_api keeps refusing one owner",
    ]) {
      expect(notAskedCause(reason)).toBe(`not asked: ${reason}`);
    }
    expect(notAskedCause("job 4711 asked for a pause")).toBe("not asked");
  });
});
