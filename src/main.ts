#!/usr/bin/env node
import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import packageJson from "../package.json" with { type: "json" };
import { keepHeapSmall } from "./app/heap.ts";
import { fileReader } from "./app/read-file.ts";
import { type Command, parseArgv } from "./cli.ts";
import { migrate } from "./commands/migrate.ts";
import { once } from "./commands/once.ts";
import { run } from "./commands/run.ts";
import type { Surroundings } from "./commands/surroundings.ts";
import { ConfigError } from "./config.ts";
import { StoreSchemaError, StoreUnavailableError } from "./watchdog/ports.ts";
import { StopRequestedError } from "./watchdog/stop.ts";

/** The process: arguments, environment, signals, exit code. Nothing else touches them. */

const STOP_WITHIN_MS = 10_000;

keepHeapSmall();
const stop = new AbortController();
listenForSignals();
const exitCode = await main();
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
process.exit(exitCode);

async function main(): Promise<number> {
  const parsed = parseArgv(process.argv.slice(2), packageJson.version);
  if (parsed.kind === "text") {
    (parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text);
    return parsed.exitCode;
  }
  try {
    return await execute(parsed.command);
  } catch (error) {
    return explain(error);
  }
}

async function execute(command: Command): Promise<number> {
  const surroundings: Surroundings = {
    env: process.env,
    readFile: fileReader(),
    appendFile: (path, text) => appendFileSync(path, text),
    stdout: process.stdout,
    stderr: process.stderr,
    hostname: hostname(),
    pid: process.pid,
    version: packageJson.version,
    nodeVersion: process.version,
    self: [process.execPath, ...process.execArgv, process.argv[1] ?? import.meta.filename],
  };
  switch (command.name) {
    case "run":
      return await run(surroundings, stop.signal);
    case "once":
      return await once(surroundings, command, stop.signal);
    case "migrate":
      return await migrate(surroundings, command);
    case "demo": {
      const { demo } = await import("./commands/demo.ts");
      return await demo(surroundings, command, stop.signal);
    }
  }
}

/** What went wrong before or instead of the command's own report. */
function explain(error: unknown): number {
  if (error instanceof ConfigError || error instanceof StoreSchemaError) {
    process.stderr.write(`run-watchdog: ${error.message}\n`);
    return 2;
  }
  if (error instanceof StoreUnavailableError) {
    process.stderr.write(`run-watchdog: ${error.message}\n`);
    return 69;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`run-watchdog: unexpected error: ${text}\n`);
  return 1;
}

/** A pipe takes 64 KiB at once: what a slow reader has not fetched yet would be lost with the process. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.write("", () => resolve());
  return promise;
}

/** The first signal asks for an orderly end, the second or ten seconds more end the process at once. */
function listenForSignals(): void {
  for (const [signal, exitCode] of [
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(exitCode);
      stop.abort(new StopRequestedError(signal));
      setTimeout(() => process.exit(exitCode), STOP_WITHIN_MS).unref();
    });
  }
  // A reader that went away (`| head`) is no reason for a stack trace.
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
}
