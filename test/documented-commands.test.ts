/** Every command of the program that a document shows is one that it takes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseArgv } from "../src/cli.ts";

const ROOT = join(import.meta.dirname, "..");
const NOTES = join("deploy", "helm", "run-watchdog", "templates", "NOTES.txt");
const DOCUMENTS = [
  "README.md",
  ...readdirSync(join(ROOT, "docs")).map((name) => join("docs", name)),
];
const RUN_ID = "80d24995-5170-4e0a-8e71-847beba6bbf4";

describe("the documents", () => {
  it("show only commands and options of the program that there are", () => {
    const shown = [
      ...DOCUMENTS.filter((name) => name.endsWith(".md")).flatMap((name) => {
        const [prose, code] = parted(readFileSync(join(ROOT, name), "utf8"));
        return [...inSpans(prose), ...inLines(code)];
      }),
      ...inLines(readFileSync(join(ROOT, NOTES), "utf8")),
    ];
    expect(shown.length).toBeGreaterThan(40);
    const whole = shown.filter((command) => !command.startsWith("..."));
    const refused = whole.flatMap((command) => {
      const parsed = parseArgv(wordsOf(command), "0");
      return parsed.kind === "text" && parsed.exitCode === 2 ? [`${command}: ${parsed.text}`] : [];
    });
    expect(refused).toEqual([]);
  });
});

/** Prose, and what stands in blocks of code. */
function parted(document: string): readonly [string, string] {
  const parts = document.split(/^```.*$/m);
  const of = (rest: number) => parts.filter((_, index) => index % 2 === rest).join("\n");
  return [of(0), of(1)];
}

function inSpans(prose: string): readonly string[] {
  return Array.from(prose.matchAll(/`(?:npx )?run-watchdog\s([^`]+)`/g), ([, found = ""]) => found);
}

function inLines(code: string): readonly string[] {
  const commands = code.matchAll(/(?:^|npx |&& |-- |run: )run-watchdog (.+)$/gm);
  return Array.from(commands, ([, found = ""]) => found);
}

/** As a shell would part it, up to what comes after the command. */
function wordsOf(command: string): readonly string[] {
  const [own = ""] = command.replace("<run-id>", RUN_ID).split(/ \| | && | > |\s+# /);
  const words = Array.from(own.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, word]) => quoted ?? word);
  // By its name alone it may be meant with any options.
  return words.length === 1 ? ["help", own] : words.map((word) => word ?? "");
}
