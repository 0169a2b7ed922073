import { Command as Commander, CommanderError } from "commander";
import type { Command, Output } from "../commands/command.ts";
import { adviceOn } from "./advice.ts";
import { addFleetCommands } from "./fleet-commands.ts";
import type { Found } from "./found.ts";
import { EXIT_CODES, examples, SETTINGS_HELP } from "./help.ts";
import { addRunCommands } from "./run-commands.ts";
import { addSweepCommands } from "./sweep-commands.ts";

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

function usage(version: string, found: Found): Commander {
  const program = new Commander("run-watchdog")
    .description("Finds agent runs stuck in RUNNING past their deadline and writes what happened.")
    .version(version, "-v, --version", "print the version")
    .helpOption("-h, --help", "print this help, or that of a command")
    .helpCommand(false)
    .addHelpText("after", examples(["help once", "once --dry-run", "once --output json", "run"]))
    .addHelpText("after", `\n${EXIT_CODES}\n${SETTINGS_HELP}`);

  addSweepCommands(program, found);
  addRunCommands(program, found);
  addFleetCommands(program, found);
  // Listed, and suggested for what is mistyped: see asOptions.
  program.command("help [command]").description("print this help, or that of a command");
  program.command("version").description("print the version");
  return program;
}
