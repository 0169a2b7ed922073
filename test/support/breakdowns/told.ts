/** What an operator is told of one breakdown, wherever they look: the product's own parts, in this process. */
import { parseArgv } from "../../../src/cli/parse-argv.ts";
import { status } from "../../../src/commands/status.ts";
import { createWatchdog, parseConfig, type Watchdog } from "../../../src/index.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { onceInProcess } from "../../commands/once-in-process.ts";
import { parseDocument } from "../process/report-document.ts";
import { type Logged, recordTo } from "../stands/sweep-world.ts";

export type Env = Readonly<Record<string, string>>;

/** An exit code, and all that is said about it, one text for each reason. */
export type Result = readonly [exitCode: number, ...texts: string[]];

/** What is different each time, and what stands in its place in a table of words. */
export type Names = Readonly<Record<string, string>>;

/** The report of `once`: its message, or the problems that kept it from making one. */
export async function toldByOnce(env: Env, names: Names, args: readonly string[]): Promise<Result> {
  try {
    const told = await onceInProcess(env, ["--output", "json", ...args]);
    const { exitCode, message } = parseDocument(told.stdout);
    if (exitCode !== told.exitCode) throw new Error(`ended with ${told.exitCode}, not ${exitCode}`);
    return [exitCode, ...(message === null ? [] : [stable(message, names)])];
  } catch (error) {
    return refusedFor(error, names);
  }
}

/** The same, as the steps of a CI job get to know it; the first annotation has to agree. */
export async function toldToGithub(
  env: Env,
  names: Names,
  args: readonly string[],
): Promise<Result> {
  try {
    const told = await onceInProcess({ ...env, GITHUB_OUTPUT: "outputs" }, [
      ...["--output", "github"],
      ...args,
    ]);
    const outputs = told.files.get("outputs") ?? "";
    const [, exitCode] = /^exit-code=(\d+)$/m.exec(outputs) ?? [];
    const [, message = ""] = /^message=(.*)$/m.exec(outputs) ?? [];
    if (Number(exitCode) !== told.exitCode) throw new Error(`ended with ${told.exitCode}`);
    const isCalm = told.stdout.startsWith("::notice ");
    if (isCalm !== (told.exitCode === 0)) throw new Error(`annotated as ${told.stdout}`);
    return [told.exitCode, ...(message === "" ? [] : [stable(message, names)])];
  } catch (error) {
    return refusedFor(error, names);
  }
}

export async function toldByStatus(env: Env, names: Names): Promise<Result> {
  const parsed = parseArgv(["status", "--json"], "0");
  if (parsed.kind === "text" || parsed.command.name !== "status") throw new Error("not a command");
  let text = "";
  const write = (chunk: string) => {
    text += chunk;
    return true;
  };
  // The command uses nothing else of a stream.
  const stdout = { write } as unknown as NodeJS.WriteStream;
  const context = { env, readFile: () => "", stdout };
  try {
    const exitCode = await status(context, parsed.command, new AbortController().signal);
    const { reasons }: { readonly reasons: readonly string[] } = JSON.parse(text);
    return [exitCode, ...reasons.map((reason) => stable(reason, names))];
  } catch (error) {
    return refusedFor(error, names);
  }
}

/** A worker that has made no sweep yet. */
export class TellingWorker implements AsyncDisposable {
  readonly #names: Names;
  readonly #lines: Logged[] = [];
  readonly #watchdog: Watchdog;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(env: Env, names: Names) {
    this.#names = names;
    const { config } = parseConfig(env, () => "");
    this.#watchdog = createWatchdog(config, { log: recordTo(this.#lines), name: "test" });
    this.#running = this.#watchdog.run(this.#stop.signal);
  }

  /** Its status, and the reasons. */
  health(): readonly string[] {
    const body = this.#watchdog.answer("/health").body as HealthBody;
    return [body.status, ...body.reasons.map((reason) => stable(reason, this.#names))];
  }

  /** `level message: what the fields say about it`, from `info` up. */
  logged(): readonly string[] {
    return this.#lines
      .filter(({ level }) => level !== "debug")
      .map(({ level, message, fields }) =>
        stable(`${level} ${message}${said(fields)}`, this.#names),
      );
  }

  /** The samples, in the text format of Prometheus. */
  async metrics(): Promise<readonly string[]> {
    const { text } = await this.#watchdog.metrics();
    return text.split("\n").map((line) => stable(line, this.#names));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#watchdog[Symbol.asyncDispose]();
  }
}

interface HealthBody {
  readonly status: string;
  readonly reasons: readonly string[];
}

/** Of a sweep its message, of a trouble its error, of all else the fields. */
function said({ message, err, ...fields }: Logged["fields"]): string {
  if (err instanceof Error) return `: ${err.message}`;
  if (message !== undefined) return message === null ? "" : `: ${String(message)}`;
  return Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
}

function refusedFor(error: unknown, names: Names): Result {
  if (error instanceof StoreSchemaError) {
    return [2, ...error.problems.map((problem) => stable(problem, names))];
  }
  if (error instanceof StoreUnavailableError) return [69, stable(error.message, names)];
  throw error;
}

const ALWAYS: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\d[T ][\d:.]+Z?/g, "<time>"],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>"],
  [/\btest\/\d+\/[0-9a-f]{4}\b/g, "<holder>"],
  [/\b\d+(\.\d+)? (ms|s|min)\b/g, "<duration>"],
  [/\b(epoch|duration-ms)=\d+/g, "$1=<n>"],
];

function stable(text: string, names: Names): string {
  let told = text;
  for (const [name, placeholder] of Object.entries(names)) {
    told = told.replaceAll(name, placeholder);
  }
  for (const [pattern, placeholder] of ALWAYS) told = told.replace(pattern, placeholder);
  return told;
}
