/** Prometheus' own tool, which checks metrics and rules. */
import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { environment, findProgram, type LocalProgram } from "./local-program.ts";

const exec = promisify(execFile);

/** `null` where there is none, with the reason printed: whatever needs it is to be skipped then. */
export async function findPromtool(): Promise<LocalProgram | null> {
  try {
    const promtool = await findProgram({
      names: ["promtool"],
      package: "prometheus",
      companions: [],
      path: "usr/bin/promtool",
    });
    // What comes with it is as large again, and not needed.
    const isUnpacked = promtool.command.includes("node_modules");
    if (isUnpacked) await rm(join(dirname(promtool.command), "prometheus"), { force: true });
    return promtool;
  } catch (error) {
    process.stderr.write(
      `skipping what promtool checks, install the package prometheus: ${error instanceof Error ? error.message : error}\n`,
    );
    return null;
  }
}

/** What it printed; rejects when it found anything. */
export async function promtool(
  program: LocalProgram,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  const options = { cwd, env: environment(program) };
  const { stdout, stderr } = await exec(program.command, [...args], options);
  return `${stdout}${stderr}`;
}

/** What `promtool check metrics` says of the text of an answer: nothing when all is well. */
export async function checkMetrics(program: LocalProgram, text: string): Promise<string> {
  const checking = exec(program.command, ["check", "metrics"], { env: environment(program) });
  checking.child.stdin?.end(text);
  const { stdout, stderr } = await checking;
  return `${stdout}${stderr}`;
}
