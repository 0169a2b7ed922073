import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clean, tail } from "../../src/rules/text.ts";

const anyText = fc.string({
  unit: fc.oneof(
    fc.constantFrom("a", "ä", "\0", "\uD83D", "\uDE00", "😀", "\u{1F469}\u200D\u{1F4BB}", "\n"),
    fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
  ),
  maxLength: 60,
});

describe("clean", () => {
  const cases = [
    { name: "removes NUL", text: "a\0b\0", cleaned: "ab" },
    { name: "removes a high surrogate without its low one", text: "a\uD83Db", cleaned: "ab" },
    { name: "removes a low surrogate without its high one", text: "a\uDE00b", cleaned: "ab" },
    { name: "removes two surrogates in the wrong order", text: "\uDE00\uD83D", cleaned: "" },
    { name: "keeps a pair, and removes the half behind it", text: "😀\uD83D", cleaned: "😀" },
    {
      name: "keeps other control characters",
      text: "\u0001\t\r\n\u007F",
      cleaned: "\u0001\t\r\n\u007F",
    },
  ];
  for (const { name, text, cleaned } of cases) {
    it(name, () => {
      expect(clean(text)).toBe(cleaned);
    });
  }

  it("gives well-formed text without NUL, and cleans it no further", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const cleaned = clean(text);
        expect(cleaned.isWellFormed()).toBe(true);
        expect(cleaned).not.toContain("\0");
        expect(clean(cleaned)).toBe(cleaned);
      }),
    );
  });
});

describe("tail", () => {
  const cases = [
    {
      name: "keeps a text of exactly that many characters",
      text: "abc",
      count: 3,
      expected: "abc",
    },
    { name: "cuts the first of one character more", text: "xabc", count: 3, expected: "abc" },
    {
      name: "keeps an astral character at the cut whole",
      text: "x😀bc",
      count: 3,
      expected: "😀bc",
    },
    {
      name: "drops an astral character before the cut whole",
      text: "😀abc",
      count: 3,
      expected: "abc",
    },
    { name: "counts astral characters as one", text: "😀😀😀😀", count: 3, expected: "😀😀😀" },
    { name: "gives the last character alone", text: "a😀", count: 1, expected: "😀" },
    { name: "gives nothing of nothing", text: "", count: 3, expected: "" },
  ];
  for (const { name, text, count, expected } of cases) {
    it(name, () => {
      expect(tail(text, count)).toBe(expected);
    });
  }

  it("is the last code points of any clean text, well-formed", () => {
    fc.assert(
      fc.property(anyText.map(clean), fc.integer({ min: 1, max: 30 }), (text, count) => {
        const cut = tail(text, count);
        const all = Array.from(text);
        expect(cut.isWellFormed()).toBe(true);
        expect(text.endsWith(cut)).toBe(true);
        expect(Array.from(cut)).toHaveLength(Math.min(count, all.length));
      }),
    );
  });
});
