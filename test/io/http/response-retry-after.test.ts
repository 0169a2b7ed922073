import { describe, expect, it } from "vitest";
import { parseRetryAfter } from "../../../src/io/http/response.ts";

const NOW_MS = Date.UTC(2026, 7, 22, 10, 0, 0);
const AT_10 = "Sat, 22 Aug 2026 10:00:00 GMT";
const AT_10_02 = "Sat, 22 Aug 2026 10:02:00 GMT";

interface Case {
  readonly name: string;
  readonly retryAfter: string | null;
  readonly date?: string;
  readonly expected: number | null;
}

const cases: readonly Case[] = [
  { name: "knows nothing without a header", retryAfter: null, expected: null },
  { name: "reads seconds", retryAfter: "17", expected: 17_000 },
  { name: "reads zero seconds", retryAfter: "0", expected: 0 },
  { name: "keeps exactly five minutes", retryAfter: "300", expected: 300_000 },
  { name: "caps one second more than five minutes", retryAfter: "301", expected: 300_000 },
  { name: "caps a number beyond all numbers", retryAfter: "9".repeat(400), expected: 300_000 },
  { name: "ignores a negative number", retryAfter: "-5", expected: null },
  { name: "ignores a fraction", retryAfter: "1.5", expected: null },
  { name: "ignores words", retryAfter: "soon", expected: null },
  { name: "ignores an empty header", retryAfter: "", expected: null },
  { name: "ignores what only Date.parse takes for a date", retryAfter: "x 2099", expected: null },
  {
    name: "measures a date from the answer's own date",
    retryAfter: AT_10_02,
    date: "Sat, 22 Aug 2026 10:01:30 GMT",
    expected: 30_000,
  },
  { name: "measures a date from our clock without one", retryAfter: AT_10_02, expected: 120_000 },
  {
    name: "measures a date from our clock when the answer's date is garbage",
    retryAfter: AT_10_02,
    date: "yesterday",
    expected: 120_000,
  },
  { name: "takes the present for no wait", retryAfter: AT_10, expected: 0 },
  {
    name: "ignores a date in the past",
    retryAfter: "Sat, 22 Aug 2026 09:59:59 GMT",
    expected: null,
  },
  {
    name: "caps a date far away",
    retryAfter: "Sun, 22 Aug 2027 10:00:00 GMT",
    expected: 300_000,
  },
];

describe("parseRetryAfter", () => {
  for (const { name, retryAfter, date = null, expected } of cases) {
    it(name, () => {
      expect(parseRetryAfter(retryAfter, date, NOW_MS)).toBe(expected);
    });
  }
});
