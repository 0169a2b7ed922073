/** `npm run demo`: two watchdogs at work, with a database and a platform of their own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import packageJson from "../../package.json" with { type: "json" };
import { type Stdout, watchStdout } from "../../src/app/stdout.ts";
import { StopRequestedError } from "../../src/watchdog/errors.ts";
import { installedBinaries, PostgresMissingError } from "../services/postgres/binaries.ts";
import { runDemo } from "./demo.ts";
import { FEWEST_RUNS, MOST_RUNS } from "./scenario/runs.ts";
import { LIVE_LINES } from "./screen/live-table.ts";
import { openScreen } from "./screen/screen.ts";
import { programOf } from "./watchdogs/program.ts";

const USAGE = `Usage: npm run demo -- [options]

Two watchdogs at work, with an embedded PostgreSQL and a fake platform. It needs
nothing installed, takes about a minute, and leaves nothing behind.

Options:
  --runs <n>        how many runs to begin with (${FEWEST_RUNS} to ${MOST_RUNS}, default: 200)
  --keep            leave everything running until Ctrl-C
  --program <file>  the built worker (default: dist/main.js), or its command
  --image <name>    the worker in its image instead, through docker
  --help            show this
`;

const PROGRAM = join(import.meta.dirname, "..", "..", packageJson.bin["run-watchdog"]);
const EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;
/** A terminal and npm may both pass on one and the same Ctrl-C. */
const ONE_SIGNAL_MS = 500;

process.exitCode = await main();

/**
 * @returns 0; 1 when a check failed or nobody reads what is printed; 2 when there can be no demo; 143 or 130 when it
 * was stopped half way.
 */
async function main(): Promise<number> {
  const stop = listenForSignals();
  const options = optionsOf(process.argv.slice(2));
  if (typeof options === "string") return refuse(`${options}\n\n${USAGE.trimEnd()}`);
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const missing = missingFor(options);
  if (missing !== null) return refuse(missing);
  const stdout = watchStdout(process.stdout);
  stdout.stream.on("error", (error) => stop.abort(error));
  const exitCode = await demo(options, stdout.stream, stop.signal);
  const failure = await stdout.failure();
  if (failure === null) return exitCode;
  process.stderr.write(`demo: stdout cannot be written (${failure.message}), so it was stopped\n`);
  return 1;
}

async function demo(options: Options, stdout: Stdout, signal: AbortSignal): Promise<number> {
  const { count, keep } = options;
  const program = programOf(options, process.env);
  const screen = openScreen(stdout, LIVE_LINES);
  screen.print([`run-watchdog demo: ${count} runs, two watchdogs, one database`, ""]);
  try {
    const failed = await runDemo({ count, keep, program, screen }, signal);
    screen.print(["", "Everything is stopped, and nothing is left behind."]);
    for (const { text } of failed) process.stderr.write(`demo: a check failed: ${text}\n`);
    return failed.length === 0 ? 0 : 1;
  } catch (error) {
    // Whatever broke after that broke because of it.
    if (!signal.aborted) throw error;
    if (!(signal.reason instanceof StopRequestedError)) return 1;
    screen.print(["", `${signal.reason.message}, and nothing is left behind`]);
    return EXIT_CODES[signal.reason.signal];
  }
}

/** The first signal asks for an orderly end, the second ends the process at once; what it started ends by itself then. */
function listenForSignals(): AbortController {
  const stop = new AbortController();
  let firstAtMs: number | null = null;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      if (firstAtMs !== null && nowMs - firstAtMs > ONE_SIGNAL_MS) process.exit(EXIT_CODES[signal]);
      firstAtMs ??= nowMs;
      stop.abort(new StopRequestedError(signal));
    });
  }
  return stop;
}

function refuse(why: string): number {
  process.stderr.write(`demo: ${why}\n`);
  return 2;
}

interface Options {
  readonly count: number;
  readonly keep: boolean;
  readonly program: string;
  readonly image: string | undefined;
  readonly help: boolean;
}

/** @returns what is wrong with them when they are wrong. */
function optionsOf(argv: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        runs: { type: "string", default: "200" },
        keep: { type: "boolean", default: false },
        program: { type: "string", default: PROGRAM },
        image: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const { runs, image, ...others } = values;
    return /^\d{1,6}$/.test(runs)
      ? { count: Number(runs), image, ...others }
      : `--runs must be a whole number, got "${runs}"`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Why there can be no demo. */
function missingFor({ count, program, image }: Options): string | null {
  if (count < FEWEST_RUNS || count > MOST_RUNS) {
    return `--runs must be from ${FEWEST_RUNS} (a run of each kind) to ${MOST_RUNS}, got ${count}`;
  }
  if (image === undefined && !existsSync(program)) {
    return `the built worker is not there: ${program}; build it with: npm run build`;
  }
  try {
    installedBinaries();
    return null;
  } catch (error) {
    if (error instanceof PostgresMissingError) return error.message;
    throw error;
  }
}
