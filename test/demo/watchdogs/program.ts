/** The built worker as a child process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Program {
  /** How it is started: command and first arguments. */
  readonly self: readonly [string, ...string[]];
  /** The environment we run in. */
  readonly env: Environment;
}

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a process needs to run at all. The user's own settings, and proxies, are not for the demo. */
const INHERITED = ["PATH", "HOME", "TMPDIR", "TMP", "TEMP", "SystemRoot"];
/** Where docker finds its engine. */
const INHERITED_BY_DOCKER = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"];
const IN_IMAGE = join(import.meta.dirname, "in-image.ts");

/** An image before a file; a script on this Node.js, any other file as the command that it is. */
export function programOf(
  { program, image }: { readonly program: string; readonly image: string | undefined },
  env: Environment,
): Program {
  if (image !== undefined) return { self: [process.execPath, IN_IMAGE, image], env };
  return { self: program.endsWith(".js") ? [process.execPath, program] : [program], env };
}

/** In a group of its own: Ctrl-C in a terminal reaches us alone, and we decide what ends when. */
export function spawnProgram(
  { self: [command, ...first], env: ours }: Program,
  args: readonly string[],
  env: Environment,
) {
  const inherited = Object.fromEntries(
    [...INHERITED, ...INHERITED_BY_DOCKER].map((name) => [name, ours[name]]),
  );
  return spawn(command, [...first, ...args], {
    env: { ...inherited, ...env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** @throws signal.reason when it aborts; the child is gone by then. */
export async function runProgram(
  program: Program,
  args: readonly string[],
  env: Environment,
  signal: AbortSignal,
): Promise<Ended> {
  signal.throwIfAborted();
  const child = spawnProgram(program, args, env);
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    const exitCode = await exitOf(child);
    const [stdout, stderr] = await output;
    signal.throwIfAborted();
    return { exitCode, stdout, stderr };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [exitCode] = await once(child, "close");
  return exitCode;
}
