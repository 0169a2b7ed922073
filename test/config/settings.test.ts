/**
 * `docs/settings.md` describes what `src/config/env/settings.ts` declares: its tables are made here, the text around
 * them is written by hand. `npm run docs:settings` brings them up to date.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SETTINGS, type VariableName } from "../../src/config/env/settings.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const SOURCE = join(ROOT, "src", "config", "env", "settings.ts");
const DOCUMENT = join(ROOT, "docs", "settings.md");

it("docs/settings.md lists every setting as it is declared", async () => {
  const marked = /(?<=<!-- settings -->\n).*(?=<!-- end of settings -->)/s;
  const document = readFileSync(DOCUMENT, "utf8").replace(marked, () => `${tables()}\n`);
  await expect(document).toMatchFileSnapshot(DOCUMENT);
});

interface Declared {
  readonly section: string;
  readonly name: string;
  readonly meaning: string;
}

function tables(): string {
  const declared = declarations();
  expect(declared.map(({ name }) => name)).toEqual(Object.keys(SETTINGS));
  return [...Map.groupBy(declared, ({ section }) => section)]
    .map(([section, settings]) => {
      const head = "| name | default | allowed | meaning |\n| --- | --- | --- | --- |";
      return `\n## ${section}\n\n${head}\n${settings.map(row).join("\n")}\n`;
    })
    .join("");
}

/** Sections, names and comments, from the text of the table; names below one comment share it. */
function declarations(): readonly Declared[] {
  const [, table = ""] = readFileSync(SOURCE, "utf8").split("export const SETTINGS = {\n");
  const [body = ""] = table.split("\n} as const;");
  return body.split("\n\n").flatMap((part) => {
    const [, section = ""] = /^ {2}\/\/ (.*)$/m.exec(part) ?? [];
    return Array.from(part.matchAll(/\/\*\*(.*?)\*\/\n(.*?)(?= {2}\/\*\*|$)/gs)).flatMap(
      ([, comment = "", code = ""]) => {
        const meaning = comment
          .replace(/^ *\* ?/gm, "")
          .replace(/\s+/g, " ")
          .trim();
        const names = Array.from(code.matchAll(/^ {2}(\w+):/gm), ([, name = ""]) => name);
        return names.map((name) => ({ section, name, meaning }));
      },
    );
  });
}

function row({ name, meaning }: Declared): string {
  const setting = SETTINGS[name as VariableName];
  const isSecret = setting.kind === "secret";
  const fallback = setting.default === null ? "" : `\`${setting.default}\``;
  return `| \`${name}\` | ${fallback} | ${allowed(setting)} | ${meaning}${isSecret ? " **Secret**" : ""} |`;
}

function allowed(setting: (typeof SETTINGS)[VariableName]): string {
  switch (setting.kind) {
    case "choice":
      return setting.words.map((word) => `\`${word}\``).join(", ");
    case "text":
    case "secret":
      return "";
    case "seconds":
      return `${setting.min} to ${setting.max} seconds`;
    case "port-or-off":
      return `${setting.min} to ${setting.max}, \`off\``;
    default:
      return `${setting.min} to ${setting.max}`;
  }
}
