import { parseArgv } from "../../src/cli/parse-argv.ts";
import { explain } from "../../src/commands/explain.ts";
import { history } from "../../src/commands/history.ts";
import { parseDocumentOf } from "../support/process/report-document.ts";

export interface ReaderResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What those commands need of a database user, and nothing else. */
export const READER_GRANTS = [
  "SELECT ON automation_runs, automations TO",
  "USAGE ON SCHEMA watchdog TO",
  "SELECT ON watchdog.leadership, watchdog.shards, watchdog.suspicions, watchdog.verdicts TO",
];

/** `run-watchdog explain` or `history` inside the test's own process; it logs nothing. Holds JSON to its schema. */
export async function readerInProcess(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
): Promise<ReaderResult> {
  const parsed = parseArgv(args, "0");
  if (parsed.kind === "text") throw new Error(`not a command: ${args.join(" ")}: ${parsed.text}`);
  const written = { stdout: "", stderr: "" };
  const into = (name: keyof typeof written) => {
    const write = (chunk: string) => {
      written[name] += chunk;
      return true;
    };
    // The commands use nothing else of a stream.
    return { isTTY: false, write } as unknown as NodeJS.WriteStream;
  };
  const context = {
    env: { LOG_LEVEL: "silent", ...env },
    readFile: () => "",
    appendFile: () => {},
    stdout: into("stdout"),
    stderr: into("stderr"),
    ...{ hostname: "test", pid: process.pid, version: "0", nodeVersion: "0" },
  };
  const { signal } = new AbortController();
  const { command } = parsed;
  let exitCode: number;
  if (command.name === "explain") exitCode = await explain(context, command, signal);
  else if (command.name === "history") exitCode = await history(context, command, signal);
  else throw new Error(`no such reader: ${command.name}`);
  const document = exitCode === 0 ? (`${command.name}.json` as const) : "problems.json";
  if (command.json) parseDocumentOf(document, written.stdout);
  return { exitCode, ...written };
}
