import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  absentNote,
  cleanupRetryMs,
  isGivenUpAsAbsent,
} from "../../../src/rules/cleanup/cleanup-retry.ts";

describe("cleanupRetryMs", () => {
  const cases = [
    { name: "waits half a minute after the first attempt", attempts: 1, waitMs: 30_000 },
    { name: "doubles with the second attempt", attempts: 2, waitMs: 60_000 },
    { name: "still doubles with the seventh attempt", attempts: 7, waitMs: 1_920_000 },
    { name: "stops at an hour with the eighth attempt", attempts: 8, waitMs: 3_600_000 },
    { name: "stays at an hour after very many attempts", attempts: 5000, waitMs: 3_600_000 },
    { name: "adds a share of a quarter", attempts: 1, fraction: 0.5, waitMs: 33_750 },
    {
      name: "obeys the API when it asks for longer",
      attempts: 1,
      retryAfterMs: 30_001,
      waitMs: 30_001,
    },
    {
      name: "waits longer than the API asks for when it is due to",
      attempts: 1,
      retryAfterMs: 29_999,
      waitMs: 30_000,
    },
  ];
  for (const { name, attempts, retryAfterMs = null, fraction = 0, waitMs } of cases) {
    it(name, () => {
      expect(cleanupRetryMs(attempts, retryAfterMs, fraction)).toBe(waitMs);
    });
  }

  it("stays between half a minute and five quarters of an hour", () => {
    const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), fraction, (attempts, share) => {
        const waitMs = cleanupRetryMs(attempts, null, share);
        expect(waitMs).toBeGreaterThanOrEqual(30_000);
        expect(waitMs).toBeLessThanOrEqual(4_500_000);
      }),
    );
  });
});

describe("isGivenUpAsAbsent", () => {
  it("holds from the third attempt on, and not before", () => {
    expect([1, 2, 3, 4, 500].map(isGivenUpAsAbsent)).toEqual([false, false, true, true, true]);
  });
});

describe("absentNote", () => {
  it("says why the attempts ended, and with which answer", () => {
    expect(absentNote("sandbox_api delete_sandbox returned HTTP 404")).toBe(
      "the API does not know the sandbox: sandbox_api delete_sandbox returned HTTP 404",
    );
  });
});
