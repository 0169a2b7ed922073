/** The blocks of shell commands that the documents show, and which of them the tests execute. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");

/** A block of nothing but these is executed as it stands by test/process/documented-blocks.test.ts. */
const EXECUTED: readonly string[] = ["export", "npm run build", "run-watchdog", "psql"];

/** A block with one of these is not executed by any test, and why. Its commands' arguments are checked all the same. */
export const NOT_RUNNABLE: Readonly<Record<string, string>> = {
  "npm ci": "installs into this very checkout, as .ci/run does before each change",
  docker: "needs an engine: `npm run accept` builds the image and runs it, where one answers",
  kubectl: "needs a cluster: test/deploy compares the manifests with the types of its API",
  helm: "needs a cluster: test/deploy renders the chart, where there is helm",
  "run-watchdog run": "runs until it is stopped, and tests of processes start it in the same way",
};

export interface ShellBlock {
  readonly document: string;
  readonly text: string;
  /** What it calls, one by one: without variables before it, `exec` and `npx`, and with `_` for blanks in quotes. */
  readonly commands: readonly string[];
}

export function documents(): readonly string[] {
  const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", "CONTRIBUTING.md", ...docs.map((name) => join("docs", name))];
}

export function readDocument(name: string): string {
  return readFileSync(join(ROOT, name), "utf8");
}

export function shellBlocks(): readonly ShellBlock[] {
  return documents().flatMap((name) => shellBlocksIn(name, readDocument(name)));
}

export function shellBlocksIn(document: string, markdown: string): readonly ShellBlock[] {
  const blocks = markdown.matchAll(/^```(?:sh|shell|bash|console)\n([\s\S]*?)^```$/gm);
  return Array.from(blocks, ([, text = ""]) => ({ document, text, commands: commandsOf(text) }));
}

/** The keys of NOT_RUNNABLE that keep it from being executed. */
export function obstaclesOf({ commands }: ShellBlock): readonly string[] {
  return Object.keys(NOT_RUNNABLE).filter((known) => commands.some(beginsWith(known)));
}

/** What it calls that the test which executes blocks does not know; nothing where that does not try. */
export function unknownIn(block: ShellBlock): readonly string[] {
  if (obstaclesOf(block).length > 0) return [];
  const isKnown = (command: string) => EXECUTED.some((known) => beginsWith(known)(command));
  return block.commands.filter((command) => !isKnown(command));
}

function beginsWith(words: string): (command: string) => boolean {
  return (command) => `${command} `.startsWith(`${words} `);
}

function commandsOf(text: string): readonly string[] {
  return text
    .replaceAll("\\\n", " ")
    .replaceAll(/"[^"]*"|'[^']*'/g, (quoted) => quoted.replaceAll(/[&|#;\s]+/g, "_"))
    .replaceAll(/(^|\s)#.*$/gm, "")
    .split(/\n|&&|\||;/)
    .map((command) => command.trim().replace(/^(?:(?:exec|npx|[A-Z_]+=\S+)\s+)*/, ""))
    .filter((command) => command !== "");
}
