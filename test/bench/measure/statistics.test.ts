import { describe, expect, it } from "vitest";
import { median, percentile } from "./statistics.ts";

const HUNDRED = Array.from({ length: 100 }, (_, index) => 100 - index);

describe("median", () => {
  it("is the value in the middle of an odd number of values", () => {
    expect(median([30, 1, 2])).toBe(2);
  });

  it("lies between the two in the middle of an even number of values", () => {
    expect(median([10, 1, 2, 4])).toBe(3);
  });

  it("of nothing is no number", () => {
    expect(median([])).toBeNaN();
  });

  it("compares numbers, not their texts", () => {
    expect(median([9, 10, 100])).toBe(10);
  });
});

describe("percentile", () => {
  it.each([
    { percent: 1, expected: 1 },
    { percent: 50, expected: 50 },
    { percent: 99, expected: 99 },
    { percent: 99.5, expected: 100 },
    { percent: 100, expected: 100 },
    { percent: 0, expected: 1 },
  ])("of 1 to 100 is $expected at $percent", ({ percent, expected }) => {
    expect(percentile(HUNDRED, percent)).toBe(expected);
  });

  it("of few values is one of them", () => {
    expect(percentile([5, 1, 3], 50)).toBe(3);
    expect(percentile([5, 1, 3], 99)).toBe(5);
    expect(percentile([7], 1)).toBe(7);
  });

  it("of nothing is no number", () => {
    expect(percentile([], 99)).toBeNaN();
  });
});
