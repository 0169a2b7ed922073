/** docs/design.md lists the columns of the worker's own tables; here they are compared with the newest migration. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");

describe("the tables of docs/design.md", () => {
  it("have the columns that the migrations make", () => {
    expect(documented()).toEqual(migrated());
  });
});

type Columns = Readonly<Record<string, readonly string[]>>;

function migrated(): Columns {
  const { entries } = JSON.parse(textOf("drizzle", "meta", "_journal.json"));
  const [tag] = String(entries.at(-1).tag).split("_");
  const { tables } = JSON.parse(textOf("drizzle", "meta", `${tag}_snapshot.json`));
  const named: readonly { readonly name: string; readonly columns: object }[] =
    Object.values(tables);
  return Object.fromEntries(
    named.map(({ name, columns }) => [name, Object.keys(columns).toSorted()]),
  );
}

/** Each table is a paragraph that begins with its name and lists its columns up to the first full stop. */
function documented(): Columns {
  const [, section = ""] = textOf("docs", "design.md").split("\n## Tables\n");
  const paragraphs = section.matchAll(/^\*\*`(\w+)`\*\*[^.]*/gm);
  const tables = Array.from(paragraphs, ([text, name = ""]) => {
    const words = Array.from(text.matchAll(/`(\w+)`/g), ([, word = ""]) => word).slice(1);
    return [name, words.filter((word) => !VALUES.has(word)).toSorted()] as const;
  });
  return Object.fromEntries(tables.filter(([name]) => name !== "migrations"));
}

/** What a column may hold, and is no column. */
const VALUES: ReadonlySet<string> = new Set(["none", "pending", "done", "abandoned", "null"]);

function textOf(...path: readonly string[]): string {
  return readFileSync(join(ROOT, ...path), "utf8");
}
