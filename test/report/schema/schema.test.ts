import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { jsonReport } from "../../../src/report/json.ts";
import { problemReport } from "../../../src/report/problems.ts";
import { anOutcome, aReport } from "../a-report.ts";
import { documentProblems, FOLDER } from "./document-problems.ts";
import { DOCUMENTS } from "./documents.ts";
import { schemaOf } from "./schema-of.ts";

describe("docs/schema", () => {
  for (const [name, { title, schema }] of Object.entries(DOCUMENTS)) {
    it(`describes in ${name} what is declared`, async () => {
      const { $schema, ...rest } = z.toJSONSchema(schema);
      const text = `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`;
      await expect(text).toMatchFileSnapshot(join(FOLDER, name));
    });
  }

  it("holds nothing else", () => {
    expect(readdirSync(FOLDER).toSorted()).toEqual(Object.keys(DOCUMENTS).toSorted());
  });
});

describe("the schemas", () => {
  it("accept documents as they are printed", () => {
    const report = aReport({ runs: [anOutcome("run-1", { basis: null, verifyMs: null })] });
    expect(documentProblems("once.json", JSON.parse(jsonReport(report)))).toEqual([]);
    const problems = problemReport(2, ["DATABASE_URL must be set"]);
    expect(documentProblems("problems.json", JSON.parse(jsonReport(problems)))).toEqual([]);
  });

  const { runsOmitted, ...without } = aReport();
  const wrong = {
    "an unknown key": { ...aReport(), more: 1 },
    "a key that is missing": without,
    "an unknown word": aReport({ runs: [{ ...anOutcome("run-1"), action: "gone" as "failed" }] }),
    "a time without its zone": aReport({ startedAt: "2026-01-01T00:00:00" }),
    "a count that is no number": { ...aReport(), runsOmitted: String(runsOmitted) },
  };
  for (const [name, document] of Object.entries(wrong)) {
    it(`refuse ${name}`, () => {
      expect(documentProblems("once.json", document)).not.toEqual([]);
    });
  }
});

describe("schemaOf", () => {
  it("takes a schema of exactly the type, and no other", () => {
    interface Sample {
      readonly word: "a" | "b";
    }
    const word = z.enum(["a", "b"]);
    schemaOf<Sample>()(z.strictObject({ word }));
    // @ts-expect-error: a word is lacking
    schemaOf<Sample>()(z.strictObject({ word: z.enum(["a"]) }));
    // @ts-expect-error: any word is allowed
    schemaOf<Sample>()(z.strictObject({ word: z.string() }));
    // @ts-expect-error: the key may be left out
    const optional = schemaOf<Sample>()(z.strictObject({ word: word.optional() }));
    interface Larger extends Sample {
      readonly more?: readonly { readonly even?: number }[];
    }
    const even = z.int();
    schemaOf<Larger>()(
      z.strictObject({
        word,
        more: z.array(z.strictObject({ even: even.exactOptional() })).exactOptional(),
      }),
    );
    // @ts-expect-error: a key that may be left out is lacking
    schemaOf<Larger>()(z.strictObject({ word }));
    // @ts-expect-error: a key that may be left out is lacking further down
    schemaOf<Larger>()(z.strictObject({ word, more: z.array(z.strictObject({})).exactOptional() }));
    // What only the compiler can refuse.
    expect(optional).toBeDefined();
  });
});
