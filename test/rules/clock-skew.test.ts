import { describe, expect, it } from "vitest";
import { clockSkewMs } from "../../src/rules/clock-skew.ts";

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
  for (const [name, readsMs, resolutionMs, expected] of cases) {
    it(name, () => {
      expect(clockSkewMs(1000, 2000, readsMs, resolutionMs)).toBe(expected);
    });
  }
});
