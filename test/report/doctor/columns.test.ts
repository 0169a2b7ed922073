import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { wrap } from "../../../src/report/doctor/columns.ts";

describe("wrap", () => {
  it("leaves a short text as it is", () => {
    expect(wrap("as it is", 8)).toEqual(["as it is"]);
  });

  it("breaks at blanks", () => {
    expect(wrap("not longer than this", 10)).toEqual(["not longer", "than this"]);
  });

  it("breaks a word that is longer than a line", () => {
    expect(wrap("a abcdefghij", 4)).toEqual(["a", "abcd", "efgh", "ij"]);
  });

  it("makes no line too long and loses nothing but blanks, whatever the text", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 60 }), (text, width) => {
        const lines = wrap(text, width);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
        expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      }),
    );
  });
});
