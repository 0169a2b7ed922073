/** Every command that a document shows is one that there is, and each block of them is executed or says why not. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import packageJson from "../package.json" with { type: "json" };
import { parseArgv } from "../src/cli/parse-argv.ts";
import {
  documents,
  NOT_RUNNABLE,
  obstaclesOf,
  readDocument,
  shellBlocks,
  shellBlocksIn,
  unknownIn,
} from "./support/shell-blocks.ts";

const ROOT = join(import.meta.dirname, "..");
const NOTES = join("deploy", "helm", "run-watchdog", "templates", "NOTES.txt");
const RUN_ID = "80d24995-5170-4e0a-8e71-847beba6bbf4";

describe("the documents", () => {
  it("show only commands and options of the program that there are", () => {
    const shown = [
      ...documents().flatMap((name) => {
        const [prose, code] = parted(readDocument(name));
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

  it("show only scripts of npm that there are", () => {
    const shown = documents().flatMap((name) =>
      Array.from(readDocument(name).matchAll(/npm run ([\w:]+)/g), ([, script = ""]) => script),
    );
    expect(shown.length).toBeGreaterThan(10);
    expect(shown.filter((script) => !Object.hasOwn(packageJson.scripts, script))).toEqual([]);
  });

  it("show no block of commands that is neither executed by a test nor known not to be", () => {
    const unknown = shellBlocks().flatMap((block) =>
      unknownIn(block).map((command) => `${block.document}: ${command}`),
    );
    expect(unknown, "execute it, or add it to NOT_RUNNABLE with the reason").toEqual([]);
  });

  it("have each of what is known not to be executed", () => {
    const met = new Set(shellBlocks().flatMap(obstaclesOf));
    expect(Object.keys(NOT_RUNNABLE).filter((known) => !met.has(known))).toEqual([]);
  });
});

describe("shellBlocksIn", () => {
  const [block] = shellBlocksIn(
    "a.md",
    '```sh\nexport A=1   # b && c\nX="d e" npx run-watchdog once | jq ".f | .g" && \\\n  kubectl get pods\n```\n',
  );

  it("finds every command, without what is before it and after it", () => {
    expect(block?.commands).toEqual([
      "export A=1",
      "run-watchdog once",
      'jq ".f_.g"',
      "kubectl get pods",
    ]);
  });

  it("tells what keeps a block from being executed, and what is unknown in one that nothing does", () => {
    expect(block && obstaclesOf(block)).toEqual(["kubectl"]);
    expect(block && unknownIn(block)).toEqual([]);
    const [other] = shellBlocksIn("a.md", "```bash\nrun-watchdog status && jq .\n```\n");
    expect(other && unknownIn(other)).toEqual(["jq ."]);
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
  const commands = code.matchAll(/(?:^|npx |&& |-- |run: |\$ |" )run-watchdog (.+)$/gm);
  return Array.from(commands, ([, found = ""]) => found);
}

/** As a shell would part it, up to what comes after the command. */
function wordsOf(command: string): readonly string[] {
  const [own = ""] = command.replace("<run-id>", RUN_ID).split(/ \| | && | > |\s+# /);
  const words = Array.from(own.matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, word]) => quoted ?? word);
  // By its name alone it may be meant with any options.
  return words.length === 1 ? ["help", own] : words.map((word) => word ?? "");
}
