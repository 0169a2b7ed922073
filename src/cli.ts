import { Command as Commander, CommanderError, Option } from "commander";
import { adviceOn } from "./cli-advice.ts";
import {
  lengthOfTime,
  oneLine,
  overrideReason,
  pauseTime,
  positive,
  roleName,
  uuid,
  uuids,
  verdictLimit,
  waitTime,
} from "./cli-arguments.ts";
import {
  CONFIG_HELP,
  DOCTOR_HELP,
  EXIT_CODES,
  examples,
  HEALTHCHECK_EXIT_CODES,
  MIGRATE_EXIT_CODES,
  PAUSE_HELP,
  READER_EXIT_CODES,
  RESUME_HELP,
  RUN_EXIT_CODES,
  SETTINGS_HELP,
  STATUS_HELP,
} from "./cli-help.ts";
import type { Command, MigrateCommand, OnceCommand, Output } from "./commands/command.ts";
import type { Basis } from "./rules/model.ts";

/** `text` is what to print: help and version to stdout (exit code 0), usage errors to stderr (2), also as `problems`. */
export type Parsed =
  | { readonly kind: "command"; readonly command: Command }
  | { readonly kind: "text"; readonly text: string; readonly exitCode: 0 }
  | {
      readonly kind: "text";
      readonly text: string;
      readonly exitCode: 2;
      readonly problems: readonly string[];
    };

/** As wide as a terminal at least is, also where nobody can say how wide it is. */
const HELP_WIDTH = 80;

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
    const width = () => HELP_WIDTH;
    part.exitOverride().configureOutput({
      writeOut: write,
      writeErr: write,
      getOutHelpWidth: width,
      getErrHelpWidth: width,
    });
  }
  try {
    // A default command of commander's would take a mistyped one for an argument.
    program.parse(argv.length === 0 ? ["run"] : [...asOptions(argv, program)], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const asked = error.code === "commander.helpDisplayed" || error.code === "commander.version";
    if (asked) return { kind: "text", text: `${text.trimEnd()}\n`, exitCode: 0 };
    return usageError(text, argv, program);
  }
  return command === null ? usageError(text, argv, program) : { kind: "command", command };
}

function usageError(text: string, argv: readonly string[], { commands }: Commander): Parsed {
  const said = text.trim().replace(/^error: /, "");
  const known = commands.map((command) => ({
    name: command.name(),
    flags: command.options.flatMap(({ long }) => long ?? []),
  }));
  const { meant, readMore } = adviceOn(said, argv, known);
  const lines = meant === null ? [said] : [said, meant];
  const problem = lines.join(" ").replaceAll(/\s*\n\s*/g, " ");
  const shown = `error: ${[...lines, readMore].join("\n")}\n`;
  return { kind: "text", text: shown, exitCode: 2, problems: [problem] };
}

/** In which form a result was asked for, also where the arguments are wrong otherwise. */
export function outputAsked(argv: readonly string[]): Output {
  const formats = argv.flatMap((word, index) => {
    if (word === "--json") return ["json"];
    if (word === "--output") return argv.slice(index + 1, index + 2);
    return word.startsWith("--output=") ? [word.slice("--output=".length)] : [];
  });
  const last = formats.at(-1);
  return last === "json" || last === "github" ? last : "human";
}

/** `help`, `help once` and `version` mean what the options do. */
function asOptions(argv: readonly string[], { commands }: Commander): readonly string[] {
  const [word, name, ...more] = argv;
  if (word === "version" && name === undefined) return ["--version"];
  // What comes after is refused as that of any other command.
  if (word !== "help" || more.length > 0) return argv;
  if (name === undefined) return ["--help"];
  // Without `--help` an unknown one is refused, with a suggestion.
  return commands.some((command) => command.name() === name) ? [name, "--help"] : [name];
}

function usage(version: string, found: (command: Command) => void): Commander {
  const program = new Commander("run-watchdog")
    .description("Finds agent runs stuck in RUNNING past their deadline and writes what happened.")
    .version(version, "-v, --version", "print the version")
    .helpOption("-h, --help", "print this help, or that of a command")
    .helpCommand(false)
    .addHelpText("after", examples(["help once", "once --dry-run", "once --output json", "run"]))
    .addHelpText("after", `\n${EXIT_CODES}\n${SETTINGS_HELP}`);

  program
    .command("run")
    .description("the worker: sweeps on a schedule (also without a command)")
    .addHelpText("after", examples(["run", "run | tee -a watchdog.log"]))
    .addHelpText("after", RUN_EXIT_CODES)
    .action(() => found({ name: "run" }));

  program
    .command("once")
    .description("one sweep, then exit with a code that says how it went")
    .option("--dry-run", "judge as usual, but take no lease and write nothing")
    .option("--run <id...>", "only these runs; those that are not overdue are skipped", uuids)
    .option("--limit <n>", "at most this many runs", positive)
    .option("--wait <duration>", "how long to wait for the lease, such as 30s or 5m", waitTime)
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
    .addHelpText(
      "after",
      examples([
        "once --dry-run",
        "once --run 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "once --wait 30s --output github",
        "once --output json | jq .counts",
        'once --override-guard "the cluster was rebuilt"',
      ]),
    )
    .addHelpText("after", `\n${EXIT_CODES}`)
    .action(({ dryRun, run, limit, wait, overrideGuard, output }: OnceOptions) =>
      found({
        name: "once",
        dryRun: dryRun ?? false,
        output,
        runIds: run ?? null,
        limit: limit ?? null,
        waitMs: wait ?? 0,
        overrideReason: overrideGuard ?? null,
      }),
    );

  program
    .command("explain")
    .description("why a run is where it is, and what a sweep would do with it now; writes nothing")
    .argument("<run-id>", "the run's id", uuid)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      examples([
        "explain 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "explain 80d24995-5170-4e0a-8e71-847beba6bbf4 --json | jq .now",
      ]),
    )
    .addHelpText("after", `\n${READER_EXIT_CODES.explain}`)
    .action((runId: string, { json = false }: Partial<JsonOption>) =>
      found({ name: "explain", runId, json }),
    );

  program
    .command("history")
    .description("the verdicts in the journal, newest first; writes nothing")
    .option("--run <id>", "only those on this run", uuid)
    .option("--since <duration>", "not older than this, such as 24h or 7d", lengthOfTime)
    .addOption(new Option("--basis <basis>", "only these").choices(["proof", "presumption"]))
    .addOption(new Option("--outcome <outcome>", "only these").choices(["completed", "failed"]))
    .option("--overturned", "only presumptions whose run has another end by now")
    .option("--limit <n>", "at most this many, up to 1000", verdictLimit, 50)
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      examples([
        "history --since 24h",
        "history --basis presumption --overturned",
        "history --run 80d24995-5170-4e0a-8e71-847beba6bbf4",
        "history --limit 1000 --json | jq '.verdicts[].reason'",
      ]),
    )
    .addHelpText("after", `\n${READER_EXIT_CODES.history}`)
    .action(({ run, since, basis, outcome, limit, ...flags }: HistoryOptions) =>
      found({
        name: "history",
        limit,
        json: flags.json ?? false,
        overturned: flags.overturned ?? false,
        runId: run ?? null,
        sinceMs: since ?? null,
        basis: basis ?? null,
        outcome: outcome === undefined ? null : OUTCOMES[outcome],
      }),
    );

  program
    .command("migrate")
    .description("create or update the worker's own tables; safe from several pods at once")
    .option("--check", "only list what is missing; exit with 2 if anything is")
    .option("--with-host-tables", "also create the host's tables, for development")
    .addOption(
      new Option(
        "--print-grants <role>",
        "only print the GRANT statements that this role needs to be the worker's",
      )
        .argParser(roleName)
        .conflicts(["check", "withHostTables"]),
    )
    .addHelpText("after", examples(["migrate --check", "migrate", PRINT_GRANTS]))
    .addHelpText("after", MIGRATE_EXIT_CODES)
    .action(({ check = false, withHostTables = false, printGrants: role }: MigrateOptions) =>
      found(
        role === undefined ? { name: "migrate", check, withHostTables } : { name: "grants", role },
      ),
    );

  program
    .command("doctor")
    .description("check every link, from the settings to a look-up; writes nothing")
    .option("--json", "one JSON document")
    .addHelpText("after", DOCTOR_HELP)
    .action(({ json = false }: Partial<JsonOption>) => found({ name: "doctor", json }));

  program
    .command("config")
    .description("what is in force and where it came from, without secrets")
    .option("--json", "one JSON document")
    .addHelpText("after", CONFIG_HELP)
    .action(({ json = false }: Partial<JsonOption>) => found({ name: "config", json }));

  program
    .command("pause")
    .description("nobody sweeps for a while, whichever worker it is; ends by itself")
    .requiredOption("--for <duration>", "for how long, such as 30m or 2h; at most 7d", pauseTime)
    .requiredOption("--reason <text>", "why; shown wherever the pause is", oneLine("why"))
    .option("--by <name>", "who says so (default: the user of this process)", oneLine("who"))
    .addHelpText("after", PAUSE_HELP)
    .action(({ for: forMs, reason, by }: PauseOptions) =>
      found({ name: "pause", forMs, reason, by: by ?? null }),
    );

  program
    .command("resume")
    .description("end a pause before its time")
    .option("--by <name>", "who says so (default: the user of this process)", oneLine("who"))
    .addHelpText("after", RESUME_HELP)
    .action(({ by }: Pick<PauseOptions, "by">) => found({ name: "resume", by: by ?? null }));

  program
    .command("status")
    .description("what the database tells about all workers; needs only SELECT")
    .option("--json", "one JSON document")
    .addHelpText("after", STATUS_HELP)
    .action(({ json = false }: Partial<JsonOption>) => found({ name: "status", json }));

  program
    .command("healthcheck")
    .description("ask the worker of this container whether it is alive; exit with 1 if not")
    .addHelpText("after", examples(["healthcheck"]))
    .addHelpText("after", HEALTHCHECK_EXIT_CODES)
    .action(() => found({ name: "healthcheck" }));

  // Listed, and suggested for what is mistyped: see asOptions.
  program.command("help [command]").description("print this help, or that of a command");
  program.command("version").description("print the version");
  return program;
}

/** As commander names them. */
interface OnceOptions extends Pick<OnceCommand, "output"> {
  readonly dryRun?: boolean;
  readonly run?: readonly string[];
  readonly limit?: number;
  readonly wait?: number;
  readonly overrideGuard?: string;
}

/** As commander names them. */
interface MigrateOptions extends Partial<Pick<MigrateCommand, "check" | "withHostTables">> {
  readonly printGrants?: string;
}

const PRINT_GRANTS = "migrate --print-grants watchdog_user | psql";

/** As commander names them. */
interface PauseOptions {
  readonly for: number;
  readonly reason: string;
  readonly by?: string;
}

interface JsonOption {
  readonly json: boolean;
}

/** As commander names them. */
interface HistoryOptions extends Partial<JsonOption> {
  readonly overturned?: boolean;
  readonly limit: number;
  readonly run?: string;
  readonly since?: number;
  readonly basis?: Basis;
  readonly outcome?: keyof typeof OUTCOMES;
}

const OUTCOMES = { completed: "COMPLETED", failed: "FAILED" } as const;
