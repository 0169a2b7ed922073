import { describe, expect, it } from "vitest";
import { clockProblem, clockProblems, skewMs } from "../../src/rules/clock-skew.ts";

const cases: readonly (readonly [string, number, number, number])[] = [
  ["is none while the answer was under way", 1500, 0, 0],
  ["is none at the moment of asking", 1000, 0, 0],
  ["is none at the moment of the answer", 2000, 0, 0],
  ["is what is left of a clock behind", 400, 0, -600],
  ["is what is left of a clock ahead", 2700, 0, 700],
  ["allows a clock that cuts off for what it cut off", 400, 600, 0],
  ["tells how far a clock that cuts off is behind at least", 100, 600, -300],
];

describe("the difference of two clocks", () => {
  for (const [name, theirMs, precisionMs, expected] of cases) {
    it(name, () => {
      const reading = { sentMs: 1000, receivedMs: 2000, theirMs, precisionMs };
      expect(skewMs(reading)).toBe(expected);
    });
  }
});

describe("what is said of clocks", () => {
  it("names each that is off by more than five seconds, which way, how far, and what to do", () => {
    expect(clockProblems({ postgres: 5001, redis: -7400, backend: 90_000 })).toEqual([
      "the clock of Postgres is 5 s ahead of this worker's, check their time service",
      "the clock of Redis is 7 s behind this worker's, check their time service",
      "the clock of the backend is 90 s ahead of this worker's, check their time service",
    ]);
  });

  it("is nothing at five seconds, and of a clock that nobody has read", () => {
    expect(clockProblems({ postgres: 5000, redis: -5000, backend: null })).toEqual([]);
  });

  it("names whose clock ours is, where nobody works by it", () => {
    expect(clockProblem("Postgres", -6000, "this machine's")).toBe(
      "the clock of Postgres is 6 s behind this machine's, check their time service",
    );
  });
});
