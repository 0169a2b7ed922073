/** What is added to a usage error: what may have been meant, and where to read more. */

export interface KnownCommand {
  readonly name: string;
  /** `--json`, `--output`, ... */
  readonly flags: readonly string[];
}

/** @param said what is wrong, as commander says it. */
export function adviceOn(
  said: string,
  argv: readonly string[],
  commands: readonly KnownCommand[],
): { readonly meant: string | null; readonly readMore: string } {
  const asked = commands.find(({ name }) => name === argv[0]);
  const readMore =
    asked === undefined || NO_COMMANDS.has(asked.name) ? "--help" : `help ${asked.name}`;
  return {
    meant: said.includes("Did you mean") ? null : whatWasMeant(said, argv, asked, commands),
    readMore: `(see run-watchdog ${readMore})`,
  };
}

/** Their own help says nothing. */
const NO_COMMANDS: ReadonlySet<string> = new Set(["help", "version"]);

function whatWasMeant(
  said: string,
  argv: readonly string[],
  asked: KnownCommand | undefined,
  commands: readonly KnownCommand[],
): string | null {
  const named = argv.find((word) => commands.some(({ name }) => name === word));
  const [, flag] = /^unknown option '([^=]+).*'/.exec(said) ?? [];
  if (flag !== undefined) {
    if (asked === undefined) {
      return named === undefined ? null : `(options come after the command: ${named} ${flag})`;
    }
    const other = SAME_MEANING.get(flag);
    const takes = other !== undefined && asked.flags.some((known) => other.startsWith(known));
    return takes ? `(Did you mean ${other}?)` : null;
  }
  const isSecond = ({ name }: KnownCommand) => name !== asked?.name && argv.includes(name);
  return said.startsWith("too many arguments") && commands.some(isSecond)
    ? "(one command at a time)"
    : null;
}

/** The same wish is another flag elsewhere. */
const SAME_MEANING: ReadonlyMap<string, string> = new Map([
  ["--json", "--output json"],
  ["--output", "--json"],
]);
