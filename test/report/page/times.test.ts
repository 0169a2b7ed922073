import { describe, expect, it } from "vitest";
import { clock, duration, relative } from "../../../src/report/page/times.ts";

const NOW = new Date("2026-01-01T14:02:30.000Z");

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [412, "412 ms"],
    [999.4, "999 ms"],
    [999.6, "1.0 s"],
    [1000, "1.0 s"],
    [9949, "9.9 s"],
    [9951, "10 s"],
    [119_000, "119 s"],
    [119_999, "2 min"],
    [120_000, "2 min"],
    [7_199_999, "2 h"],
    [7_200_000, "2 h"],
    [172_799_999, "2 d"],
    [864_000_000, "10 d"],
  ])("says %d ms as %s", (ms, words) => {
    expect(duration(ms)).toBe(words);
  });
});

describe("relative", () => {
  it.each([
    [40_000, "in 40 s"],
    [-720_000, "12 min ago"],
    [-18_000_000, "5 h ago"],
    [999, "now"],
    [-999, "now"],
    [1000, "in 1 s"],
  ])("says a time that is %d ms away as %s, with the exact time", (ms, words) => {
    const at = new Date(NOW.getTime() + ms);
    expect(relative(at, NOW).toString()).toBe(
      `<time datetime="${at.toISOString()}" title="${at.toISOString()}">${words}</time>`,
    );
  });
});

describe("clock", () => {
  it("shows the time of today, and the date of another day", () => {
    expect(clock(new Date("2026-01-01T00:00:00.900Z"), NOW).toString()).toContain(">00:00:00<");
    expect(clock(new Date("2025-12-31T23:59:59.000Z"), NOW).toString()).toContain(
      "><span>2025-12-31</span> <span>23:59:59</span><",
    );
  });
});
