import { describe, expect, it } from "vitest";
import { skewMs } from "../../../src/rules/clock-skew.ts";
import { checkClock } from "../../../src/rules/doctor/clock.ts";

const SENT = 1_000_000;
const RECEIVED = 1_000_400;
const reading = (theirMs: number, precisionMs = 1) => ({
  theirMs,
  sentMs: SENT,
  receivedMs: RECEIVED,
  precisionMs,
});

describe("skewMs", () => {
  const cases: readonly (readonly [string, number, number, number])[] = [
    ["nothing within the round trip", SENT + 200, 1, 0],
    ["nothing at its very end", RECEIVED, 1, 0],
    ["what is beyond its end", RECEIVED + 1, 1, 1],
    ["nothing at its very start", SENT - 1, 1, 0],
    ["what is before its start", SENT - 2, 1, -1],
    ["nothing within a coarse clock's second", SENT - 1000, 1000, 0],
    ["what is before that second", SENT - 1001, 1000, -1],
  ];
  it.each(cases)("is %s", (_, theirMs, precisionMs, expected) => {
    expect(skewMs(reading(theirMs, precisionMs))).toBe(expected);
  });
});

describe("checkClock", () => {
  it("tolerates what health tolerates", () => {
    expect(checkClock("clock", "Redis", reading(RECEIVED + 5000)).result).toBe("ok");
    expect(checkClock("clock", "Redis", reading(SENT - 5001)).result).toBe("ok");
  });

  it("warns of more, and says which way", () => {
    expect(checkClock("clock", "Redis", reading(RECEIVED + 5001))).toMatchObject({
      result: "warning",
      found: expect.stringMatching(/^the clock of Redis is .* ahead of this worker's/),
    });
    expect(checkClock("clock", "Postgres", reading(SENT - 5002))).toMatchObject({
      result: "warning",
      found: expect.stringMatching(/^the clock of Postgres is .* behind this worker's/),
    });
  });
});
