import type { Stdout } from "../app/stdout.ts";
import { wantsColours } from "../report/colours.ts";
import { githubOutputs, githubProblems, githubReport } from "../report/github.ts";
import { humanReport } from "../report/human.ts";
import { jsonReport } from "../report/json.ts";
import { markdownProblems, markdownSummary } from "../report/markdown.ts";
import { coloured, plain } from "../report/paint.ts";
import { problemReport } from "../report/problems.ts";
import { wrapped } from "../report/words.ts";
import { exitCodeUntold } from "../rules/exit-code.ts";
import type { SweepReport } from "../rules/report.ts";
import type { Output } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

type Told = Pick<ProcessContext, "stdout" | "stderr" | "env" | "appendFile">;

/** Exit codes of what is refused before anything has been printed to stdout. */
const REFUSED: ReadonlySet<number> = new Set([2, 3, 69]);

/** On a terminal a long line is broken between words, and not where the screen ends. */
export function writeForPeople(stream: Stdout | NodeJS.WriteStream, text: string): void {
  const lines = text.split("\n").flatMap((line) => {
    const indent = line.length - line.trimStart().length;
    return stream.isTTY ? wrapped(line, indent, indent + 2) : [line];
  });
  stream.write(lines.join("\n"));
}

/** @returns the exit code: of the report, unless a part of it could not be written. */
export function tellReport(context: Told, output: Output, report: SweepReport): number {
  const { stdout, env } = context;
  switch (output) {
    case "human":
      stdout.write(humanReport(report, wantsColours(stdout, env) ? coloured : plain));
      return report.exitCode;
    case "json":
      stdout.write(jsonReport(report));
      return report.exitCode;
    case "github":
      stdout.write(githubReport(report));
      return appendForJob(context, report.exitCode, markdownSummary(report), githubOutputs(report));
  }
}

/**
 * Why a command did not get as far as its own result, for a program or a CI job; people have been told on stderr.
 *
 * @returns the exit code.
 */
export function tellProblems(
  context: Told,
  output: Output,
  exitCode: number,
  problems: readonly string[],
): number {
  const report = problemReport(exitCode, problems);
  // Once a result has been printed, a second document would make it unreadable.
  if (output === "json" && REFUSED.has(exitCode)) context.stdout.write(jsonReport(report));
  if (output !== "github") return exitCode;
  context.stdout.write(githubProblems(report));
  return appendForJob(context, exitCode, markdownProblems(report), githubOutputs(report));
}

/** @returns the exit code, unless something could not be appended to the files that a GitHub job reads. */
function appendForJob(
  { env, appendFile, stderr }: Told,
  exitCode: number,
  summary: string,
  outputs: string,
): number {
  let isTold = true;
  for (const [name, what, text] of [
    ["GITHUB_STEP_SUMMARY", "summary", summary],
    ["GITHUB_OUTPUT", "outputs", outputs],
  ] as const) {
    try {
      const path = env[name];
      if (path) appendFile(path, text);
    } catch (error) {
      isTold = false;
      const why = error instanceof Error ? error.message : String(error);
      stderr.write(
        `run-watchdog: the ${what} could not be written to ${name}: ${why} (the command itself ended with exit code ${exitCode})\n`,
      );
    }
  }
  return isTold ? exitCode : exitCodeUntold(exitCode);
}
