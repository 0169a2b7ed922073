import { describe, expect, it } from "vitest";
import { type Figure, holds, shown, shownLimit } from "./figure.ts";

const figure = (value: number, limit?: Figure["limit"]): Figure => ({
  name: "a figure",
  value,
  unit: "ms",
  ...(limit === undefined ? {} : { limit }),
});

describe("holds", () => {
  it.each([
    { name: "exactly at most", value: 20, limit: { atMost: 20 }, expected: true },
    { name: "a little more than at most", value: 20.001, limit: { atMost: 20 }, expected: false },
    { name: "exactly at least", value: 0.7, limit: { atLeast: 0.7 }, expected: true },
    {
      name: "a little less than at least",
      value: 0.6999,
      limit: { atLeast: 0.7 },
      expected: false,
    },
    { name: "not measured, at most", value: Number.NaN, limit: { atMost: 20 }, expected: false },
    { name: "not measured, at least", value: Number.NaN, limit: { atLeast: 1 }, expected: false },
  ])("is $expected for what is $name", ({ value, limit, expected }) => {
    expect(holds(figure(value, limit))).toBe(expected);
  });

  it("says nothing where nothing is demanded", () => {
    expect(holds(figure(5))).toBeNull();
  });
});

describe("shown", () => {
  it.each([
    { value: 0.2666, text: "0.267 ms" },
    { value: 12.345, text: "12.3 ms" },
    { value: 1014.4, text: "1,014 ms" },
    { value: 20_000, text: "20,000 ms" },
    { value: 0, text: "0 ms" },
    { value: Number.NaN, text: "not measured ms" },
  ])("writes $value as $text", ({ value, text }) => {
    expect(shown({ value, unit: "ms" })).toBe(text);
  });

  it("writes a ratio without a unit", () => {
    expect(shown({ value: 0.5, unit: "" })).toBe("0.5");
  });
});

describe("shownLimit", () => {
  it("says which way a limit goes, and nothing without one", () => {
    expect(shownLimit(figure(1, { atMost: 20 }))).toBe("at most 20 ms");
    expect(shownLimit(figure(1, { atLeast: 0.7 }))).toBe("at least 0.7 ms");
    expect(shownLimit(figure(1))).toBe("");
  });
});
