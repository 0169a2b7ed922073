import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonCollector, textTail } from "../../../src/io/http/json-collector.ts";

const KIB = 1024;

function collect(pieces: readonly Uint8Array[], maxBytes = KIB * KIB): string | null {
  const collector = new JsonCollector(maxBytes);
  const all = pieces.every((piece) => collector.add(piece));
  return all ? collector.bytes.toString() : null;
}

function collectText(text: string): string | null {
  return collect([Buffer.from(text)]);
}

describe("JsonCollector", () => {
  it("joins pieces of any size, however often it grows", () => {
    const pieces = [0, 1, 4095, 1, 1, 9000, 50_000].map((size, index) =>
      Buffer.alloc(size, String(index)),
    );
    expect(collect(pieces)).toBe(Buffer.concat(pieces).toString());
  });

  it("has nothing at first", () => {
    expect(new JsonCollector(10).bytes.length).toBe(0);
  });

  it("keeps bytes up to its limit", () => {
    const bytes = Buffer.alloc(6000, "1");
    expect(collect([bytes.subarray(0, 5000), bytes.subarray(5000)], 6000)).toBe(bytes.toString());
  });

  it("refuses a piece that goes one byte over its limit", () => {
    const collector = new JsonCollector(6000);
    expect(collector.add(Buffer.alloc(5000, "1"))).toBe(true);
    expect(collector.add(Buffer.alloc(1001, "1"))).toBe(false);
  });

  it("keeps a text of 48 KiB whole", () => {
    const text = JSON.stringify("x".repeat(48 * KIB - 1));
    expect(collectText(text)).toBe(text);
  });

  it("cuts a text of more than 48 KiB to its last 24 KiB", () => {
    const text = `${"x".repeat(24 * KIB)}${"y".repeat(24 * KIB)}`;
    expect(collectText(JSON.stringify(text))).toBe(JSON.stringify("y".repeat(24 * KIB)));
  });

  it("stays within two such texts, however long they are", () => {
    const body = JSON.stringify(["x".repeat(KIB * KIB), "y".repeat(KIB * KIB)]);
    expect(collect([Buffer.from(body)], 97 * KIB)).not.toBeNull();
    expect(collect([Buffer.from(JSON.stringify(body))], 97 * KIB)).not.toBeNull();
  });

  for (const [name, unit] of [
    ["line breaks", "\n"],
    ["quotation marks", '"'],
    ["backslashes", "\\"],
    ["control characters", "\0"],
    ["letters of three bytes", "あ"],
    ["pairs of surrogates", "😀"],
    ["lone surrogates", "\ud800"],
    ["JSON", '{"exit_code":0,"\\u0000\\\\"}'],
  ] as const) {
    it(`cuts a text of ${name} without changing what is after it`, () => {
      // One letter before them moves every cut by a byte: from between two of them to the middle of one.
      for (const before of ["", "x", "xx"]) {
        const stdout = `${before}${unit.repeat((512 * KIB) / unit.length)}end`;
        const body = JSON.stringify({ stdout, exit_code: 1, stderr: "short" });
        const kept = JSON.parse(collectText(body) ?? "");
        expect({ ...kept, stdout: "" }).toEqual({ stdout: "", exit_code: 1, stderr: "short" });
        expect(kept.stdout.length).toBeLessThan(48 * KIB);
        expect(textTail(kept.stdout)).toBe(textTail(stdout));
      }
    });
  }

  it("never makes a short name or value of a long one", () => {
    const body = JSON.stringify({ [`${"x".repeat(90_000)}exit_code`]: `${"y".repeat(90_000)}0` });
    const [[name, value] = []] = Object.entries(JSON.parse(collectText(body) ?? ""));
    expect(name).toMatch(/^x{24000,}exit_code$/);
    expect(value).toMatch(/^y{24000,}0$/);
  });

  it("changes no document of short texts and no long text's end, wherever it is split", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .tuple(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), fc.nat(70_000))
        .map(([unit, size]) => unit.repeat(Math.ceil(size / unit.length))),
    );
    const { document } = fc.letrec((tie) => ({
      document: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.double(),
        fc.constant(null),
        fc.array(tie("document"), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie("document"), { maxKeys: 3 }),
      ),
    }));
    const splits = fc.array(fc.nat(200_000), { maxLength: 5 });
    fc.assert(
      fc.property(document, splits, (value, places) => {
        const bytes = Buffer.from(JSON.stringify(value));
        const edges = [0, ...places.filter((place) => place < bytes.length), bytes.length].sort(
          (a, b) => a - b,
        );
        const pieces = edges.slice(1).map((edge, at) => bytes.subarray(edges[at], edge));
        const kept = collect(pieces, Number.MAX_SAFE_INTEGER) ?? "";
        expect(tails(JSON.parse(kept))).toEqual(tails(JSON.parse(bytes.toString())));
      }),
      { numRuns: 50 },
    );
  });
});

/** The document with every text in it as a backend sees it. */
function tails(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each) => (typeof each === "string" ? textTail(each) : each)),
  );
}
