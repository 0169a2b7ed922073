/** The table in docs/operating.md is made of what is declared; `npm run docs:metrics` brings it up to date. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  COUNTERS,
  type Definition,
  GAUGES,
  HISTOGRAMS,
} from "../../../src/io/metrics/definitions.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..");
const DOCUMENT = join(ROOT, "docs", "operating.md");

describe("the metrics", () => {
  it("stand in docs/operating.md as they are declared", async () => {
    const marked = /(?<=<!-- metrics -->\n).*(?=<!-- end of metrics -->)/s;
    const document = readFileSync(DOCUMENT, "utf8").replace(marked, () => `${table()}\n`);
    await expect(document).toMatchFileSnapshot(DOCUMENT);
  });

  it("have base units and bounded labels in their names", () => {
    const all = { ...COUNTERS, ...HISTOGRAMS, ...GAUGES };
    for (const name of Object.keys(all)) expect(name).toMatch(/^watchdog_[a-z_]+$/);
    for (const name of Object.keys(COUNTERS)) expect(name).toMatch(/_total$/);
    for (const name of Object.keys(HISTOGRAMS)) expect(name).toMatch(/_seconds$/);
    for (const name of Object.keys(GAUGES)) expect(name).not.toMatch(/_total$|_ms$/);
  });
});

function table(): string {
  const kinds = Object.entries({ counter: COUNTERS, histogram: HISTOGRAMS, gauge: GAUGES });
  const rows = kinds.flatMap(([kind, definitions]) =>
    Object.entries<Definition>(definitions).map(([name, { help, labels = [] }]) => {
      const shown = labels.map((label) => `\`${label}\``).join(", ");
      return `| \`${name}\` | ${kind} | ${shown} | ${help} |`;
    }),
  );
  return `\n| name | kind | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}
