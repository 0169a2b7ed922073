import { Command as Commander, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Command, MigrateCommand, OnceCommand } from "./commands/command.ts";
import { parseDuration } from "./config/env/env-reader.ts";
import { canonicalRunId, clean } from "./rules/text.ts";

/** `text` is what to print: help and version to stdout (exit code 0), usage errors to stderr (2). */
export type Parsed =
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "text"; readonly text: string; readonly exitCode: 0 | 2 };

/** Pure: from arguments to a command, or to what has to be said instead. */
export function parseArgv(argv: readonly string[], version: string): Parsed {
  let text = "";
  let command: Command | null = null;
  const program = usage(version, (parsed) => {
    command = parsed;
  });
  for (const part of [program, ...program.commands]) {
    const write = (chunk: string) => {
      text += chunk;
    };
    part.exitOverride().configureOutput({ writeOut: write, writeErr: write });
  }
  try {
    // A default command of commander's would take a mistyped one for an argument.
    program.parse(argv.length === 0 ? ["run"] : [...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const asked = error.code === "commander.helpDisplayed" || error.code === "commander.version";
    return { kind: "text", text, exitCode: asked ? 0 : 2 };
  }
  return command === null ? { kind: "text", text, exitCode: 2 } : { kind: "command", command };
}

function usage(version: string, found: (command: Command) => void): Commander {
  const program = new Commander("run-watchdog")
    .description("Finds agent runs stuck in RUNNING past their deadline and writes what happened.")
    .version(version)
    .showHelpAfterError("(see run-watchdog --help)")
    .helpCommand(false)
    .addHelpText("after", `\n${EXIT_CODES}\nSettings are environment variables, see README.md.`);

  program
    .command("run")
    .description("the worker: sweeps on a schedule (also without a command)")
    .action(() => found({ name: "run" }));

  program
    .command("once")
    .description("one sweep, then exit with a code that says how it went")
    .option("--dry-run", "judge as usual, but take no lease and write nothing", false)
    .option("--run <id...>", "only these runs; those that are not overdue are skipped", uuids)
    .option("--limit <n>", "at most this many runs", positive)
    .option("--wait <duration>", "how long to wait for the lease, such as 30s or 5m", waitTime, 0)
    .option(
      "--override-guard <reason>",
      "write every confirmed presumption, whatever the guard says; the journal keeps the reason",
      overrideReason,
    )
    .addOption(
      new Option("--output <format>", "how to report")
        .choices(["human", "json", "github"])
        .default("human"),
    )
    .action(({ run, limit, wait, overrideGuard, ...rest }: OnceOptions) =>
      found({
        name: "once",
        ...rest,
        runIds: run ?? null,
        limit: limit ?? null,
        waitMs: wait,
        overrideReason: overrideGuard ?? null,
      }),
    );

  program
    .command("migrate")
    .description("create or update the worker's own tables; safe from several pods at once")
    .option("--check", "only list what is missing; exit with 2 if anything is", false)
    .option("--with-host-tables", "also create the host's tables, for development", false)
    .action((options: Omit<MigrateCommand, "name">) => found({ name: "migrate", ...options }));

  program
    .command("healthcheck")
    .description("ask the worker of this container whether it is alive; exit with 1 if not")
    .action(() => found({ name: "healthcheck" }));

  return program;
}

/** As commander names them. */
interface OnceOptions extends Pick<OnceCommand, "dryRun" | "output"> {
  readonly run?: readonly string[];
  readonly limit?: number;
  readonly wait: number;
  readonly overrideGuard?: string;
}

function uuids(value: string, before: readonly string[] | undefined): readonly string[] {
  const id = canonicalRunId(value);
  if (id === null) throw new InvalidArgumentError("It must be a run's id, a UUID.");
  return [...(before ?? []), id];
}

function positive(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError("It must be a whole number, at least 1.");
  }
  return number;
}

function waitTime(value: string): number {
  const ms = parseDuration(value);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("It must be a duration such as 30s or 5m.");
  return ms;
}

function overrideReason(value: string): string {
  const reason = clean(value).trim();
  if (reason === "") throw new InvalidArgumentError("It must say why: the journal keeps it.");
  return reason;
}

const EXIT_CODES = `Exit codes:
  0    done
  1    unexpected error, the output could not be written, or the sweep lost its
       lease, its epoch or its database
  2    bad usage, configuration or schema
  3    a run could not be handled, or was skipped because the backend is not to be
       asked, or no answer from the backend could be used
  4    the guard held verdicts back
  69   Postgres or Redis unreachable, or the login was rejected; nothing was swept
  75   another worker holds the lease, nothing was swept
  143  stopped by SIGTERM (130: SIGINT) after finishing what was in flight
`;
