/** `npm run demo`: a fleet at work, with a database and a platform of its own. */
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { watchStdout } from "../../src/app/stdout.ts";
import { StopRequestedError } from "../../src/watchdog/errors.ts";
import { type DemoOptions, demo } from "./demo.ts";

const USAGE = `Usage: npm run demo -- [options]

A fleet with an embedded PostgreSQL and a fake platform; needs nothing installed.

Options:
  --runs <n>        how many runs to begin with (default: 200)
  --keep            leave everything running until Ctrl-C
  --program <file>  the built worker (default: dist/main.js)
  --help            show this
`;

const PROGRAM = join(import.meta.dirname, "..", "..", packageJson.bin["run-watchdog"]);

process.exitCode = await main();

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => stop.abort(new StopRequestedError(signal)));
  }
  const options = optionsOf(process.argv.slice(2));
  if (typeof options === "string") {
    process.stderr.write(`demo: ${options}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const stdout = watchStdout(process.stdout);
  const exitCode = await demo(
    {
      env: process.env,
      self: [process.execPath, options.program],
      stdout: stdout.stream,
      stderr: process.stderr,
    },
    options,
    stop.signal,
  );
  return (await stdout.failure()) === null ? exitCode : 1;
}

function optionsOf(
  argv: readonly string[],
): (DemoOptions & { readonly program: string; readonly help: boolean }) | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        runs: { type: "string", default: "200" },
        keep: { type: "boolean", default: false },
        program: { type: "string", default: PROGRAM },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const { runs, keep, program, help } = values;
    return /^\d{1,6}$/.test(runs)
      ? { runs: Number(runs), keep, program, help }
      : `--runs must be a whole number, got "${runs}"`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
