/** Programs that render or check what is in deploy/, where this machine has them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const exec = promisify(execFile);

/** Runs it; rejects with its complaint. */
export type Tool = (args: readonly string[]) => Promise<Printed>;

export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** `null` where there is none, with the reason printed: whatever needs it is to be skipped then. */
export async function findTool(
  name: string,
  versionArgs: readonly string[],
  checks: string,
): Promise<Tool | null> {
  const run: Tool = (args) => exec(name, [...args], { maxBuffer: 16 * 1024 * 1024 });
  try {
    await run(versionArgs);
    return run;
  } catch (error) {
    const why = error instanceof Error ? error.message.split("\n")[0] : error;
    process.stderr.write(`skipping ${checks}, install ${name}: ${why}\n`);
    return null;
  }
}
