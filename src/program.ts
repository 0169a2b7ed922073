import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { setImmediate } from "node:timers/promises";
import packageJson from "../package.json" with { type: "json" };
import { fileReader } from "./app/read-file.ts";
import { type Stdout, watchStdout } from "./app/stdout.ts";
import { outputAsked, parseArgv } from "./cli/parse-argv.ts";
import type { Command, Output } from "./commands/command.ts";
import type { ProcessContext } from "./commands/process-context.ts";
import { ConfigError } from "./config/config.ts";
import { exitCodeUntold } from "./rules/exit-code.ts";
import { StopRequestedError, StoreSchemaError, StoreUnavailableError } from "./watchdog/errors.ts";

const STDERR_WITHIN_MS = 2000;

/**
 * From arguments to an exit code.
 *
 * @param stop aborts with the name of the signal that asks for an orderly end.
 */
export async function main(process: NodeJS.Process, stop: AbortSignal): Promise<number> {
  const { stderr } = process;
  const stdout = watchStdout(process.stdout);
  // Nobody is left who could be told.
  stderr.on("error", () => {});
  // A signal that came while the program was loaded is heard with the next look for events, which is before the second.
  for (let turn = 0; turn < 2; turn += 1) await setImmediate();
  let exitCode = await obey(process, stdout.stream, stopRequest(stop));
  const failure = await stdout.failure();
  if (failure !== null) {
    stderr.write(
      `run-watchdog: stdout could not be written: ${failure.message} (the command itself ended with exit code ${exitCode})\n`,
    );
    exitCode = exitCodeUntold(exitCode);
  }
  await flushed(stderr);
  return exitCode;
}

function stopRequest(stop: AbortSignal): AbortSignal {
  const request = new AbortController();
  const ask = () => request.abort(new StopRequestedError(stop.reason));
  if (stop.aborted) ask();
  else stop.addEventListener("abort", ask);
  return request.signal;
}

async function obey(process: NodeJS.Process, stdout: Stdout, signal: AbortSignal): Promise<number> {
  const { version } = packageJson;
  const { env, stderr, pid, version: nodeVersion } = process;
  const context: ProcessContext = {
    env,
    stdout,
    stderr,
    hostname: hostname(),
    pid,
    version,
    nodeVersion,
    readFile: fileReader(),
    appendFile: (path, text) => appendFileSync(path, text),
  };
  const argv = process.argv.slice(2);
  const parsed = parseArgv(argv, version);
  if (parsed.kind === "command") {
    try {
      return await execute(parsed.command, context, signal);
    } catch (error) {
      return await explain(error, context, outputAsked(argv));
    }
  }
  if (parsed.exitCode === 0) {
    stdout.write(parsed.text);
    return 0;
  }
  const { tellProblems, writeForPeople } = await import("./commands/told.ts");
  writeForPeople(stderr, parsed.text);
  return tellProblems(context, outputAsked(argv), parsed.exitCode, parsed.problems);
}

async function execute(
  command: Command,
  context: ProcessContext,
  signal: AbortSignal,
): Promise<number> {
  // Each loads what it needs: a probe that comes every half a minute must not cost as much as the worker.
  switch (command.name) {
    case "run":
      return (await import("./commands/run.ts")).run(context, signal);
    case "once":
      return (await import("./commands/once.ts")).once(context, command, signal);
    case "history":
      return (await import("./commands/history.ts")).history(context, command, signal);
    case "explain":
      return (await import("./commands/explain.ts")).explain(context, command, signal);
    case "migrate":
      return (await import("./commands/migrate.ts")).migrate(context, command, signal);
    case "grants":
      return (await import("./commands/grants.ts")).grants(context, command, signal);
    case "doctor":
      return (await import("./commands/doctor.ts")).doctor(context, command, signal);
    case "config":
      return (await import("./commands/config.ts")).config(context, command);
    case "pause":
      return (await import("./commands/pause.ts")).pause(context, command, signal);
    case "resume":
      return (await import("./commands/pause.ts")).resume(context, command, signal);
    case "status":
      return (await import("./commands/status.ts")).status(context, command, signal);
    case "healthcheck":
      return (await import("./commands/healthcheck.ts")).healthcheck(context, signal);
  }
}

/** What went wrong before or instead of the command's own report. */
async function explain(error: unknown, context: ProcessContext, output: Output): Promise<number> {
  const exitCode = exitCodeOf(error);
  const { message, stack = message } = error instanceof Error ? error : { message: String(error) };
  const { tellProblems, writeForPeople } = await import("./commands/told.ts");
  const { stderr } = context;
  if (exitCode === 1) stderr.write(`run-watchdog: unexpected error: ${stack}\n`);
  else writeForPeople(stderr, `run-watchdog: ${message}\n`);
  return tellProblems(context, output, exitCode, problemsOf(error, exitCode, message));
}

function problemsOf(error: unknown, exitCode: number, message: string): readonly string[] {
  if (error instanceof ConfigError || error instanceof StoreSchemaError) return error.problems;
  return [exitCode === 1 ? `unexpected error: ${message}` : message];
}

function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError || error instanceof StoreSchemaError) return 2;
  if (error instanceof StoreUnavailableError) return 69;
  if (error instanceof StopRequestedError) return error.signal === "SIGTERM" ? 143 : 130;
  return 1;
}

/** A pipe takes 64 KiB at once; the rest needs a reader, and one that stalls must not keep the process. */
async function flushed(stderr: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const patience = setTimeout(resolve, STDERR_WITHIN_MS);
  stderr.write("", () => resolve());
  await promise;
  clearTimeout(patience);
}
