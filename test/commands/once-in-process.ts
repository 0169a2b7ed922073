import { parseArgv } from "../../src/cli/parse-argv.ts";
import { once } from "../../src/commands/once.ts";

export interface OnceResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What was appended, by path. */
  readonly files: ReadonlyMap<string, string>;
}

export interface OnceOptions {
  readonly signal?: AbortSignal;
  readonly appendFile?: (path: string, text: string) => void;
  /** Pretends that stderr is a terminal. */
  readonly terminal?: boolean;
  /** Told everything that has been written to stderr, each time that something is. */
  readonly onStderr?: (text: string) => void;
}

/** `run-watchdog once` inside the test's own process, from its arguments to its exit code; it logs nothing. */
export async function onceInProcess(
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  options: OnceOptions = {},
): Promise<OnceResult> {
  const parsed = parseArgv(["once", ...args], "0");
  if (parsed.kind === "text" || parsed.command.name !== "once") {
    throw new Error(`not a command: ${args.join(" ")}`);
  }
  const stdout = new Captured(false);
  const stderr = new Captured(options.terminal === true, options.onStderr);
  const files = new Map<string, string>();
  const exitCode = await once(
    {
      env: { LOG_LEVEL: "silent", ...env },
      readFile: () => "",
      appendFile: (path, text) => {
        options.appendFile?.(path, text);
        files.set(path, `${files.get(path) ?? ""}${text}`);
      },
      stdout: stdout.stream,
      stderr: stderr.stream,
      hostname: "test",
      pid: process.pid,
      version: "0",
      nodeVersion: "0",
    },
    parsed.command,
    options.signal ?? new AbortController().signal,
  );
  return { exitCode, stdout: stdout.text, stderr: stderr.text, files };
}

/** As much of a stream as commands and the progress bar use. */
class Captured {
  text = "";
  readonly stream: NodeJS.WriteStream;

  constructor(isTTY: boolean, onText: (text: string) => void = () => {}) {
    const done = () => true;
    // Nobody asks it for more than this.
    this.stream = {
      isTTY,
      columns: 120,
      write: (chunk: string) => {
        this.text += chunk;
        onText(this.text);
        return true;
      },
      cursorTo: done,
      moveCursor: done,
      clearLine: done,
      clearScreenDown: done,
      once: done,
      on: done,
      off: done,
      removeListener: done,
    } as unknown as NodeJS.WriteStream;
  }
}
