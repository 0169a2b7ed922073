import { describe, expect, it } from "vitest";
import { counted, duration, printable, wrapped } from "../../src/report/words.ts";

describe("duration", () => {
  const MINUTE_MS = 60_000;
  const HOUR_MS = 60 * MINUTE_MS;
  const DAY_MS = 24 * HOUR_MS;
  for (const [ms, text] of [
    [0, "0.0 s"],
    [412, "0.4 s"],
    [9949, "9.9 s"],
    [9950, "10 s"],
    [MINUTE_MS - 501, "59 s"],
    [MINUTE_MS - 500, "1 min"],
    [83_400, "1 min 23 s"],
    [HOUR_MS - 1000, "59 min 59 s"],
    [HOUR_MS, "1 h"],
    [2 * HOUR_MS + 5 * MINUTE_MS, "2 h 5 min"],
    [DAY_MS - 1000, "23 h 59 min"],
    [DAY_MS, "1 d"],
    [3 * DAY_MS + 4 * HOUR_MS, "3 d 4 h"],
  ] as const) {
    it(`says "${text}" for ${ms} ms`, () => {
      expect(duration(ms)).toBe(text);
    });
  }
});

describe("counted", () => {
  it("puts one thing into the singular, and marks thousands", () => {
    expect([0, 1, 1204].map((number) => counted(number, "run"))).toEqual([
      "0 runs",
      "1 run",
      "1,204 runs",
    ]);
  });
});

describe("printable", () => {
  it("replaces what would move a cursor, colour a text or end a line", () => {
    expect(printable("a\r\nb\u001b[31mc\u2028d")).toBe("a b [31mc d");
  });
});

describe("wrapped", () => {
  it("leaves a line of 80 columns alone and breaks one of 81, between words", () => {
    expect(wrapped(`${"a".repeat(70)} ${"b".repeat(7)}`, 2)).toHaveLength(1);
    expect(wrapped(`${"a".repeat(70)} ${"b".repeat(8)}`, 2, 4)).toEqual([
      `  ${"a".repeat(70)}`,
      `    ${"b".repeat(8)}`,
    ]);
  });

  it("cuts a word that fits into no line", () => {
    const lines = wrapped("x".repeat(200), 4);
    expect(lines.map((line) => line.length)).toEqual([80, 80, 52]);
  });
});
