/** A worker whose secrets stand in files that a test replaces. */
import { expect } from "vitest";
import { fileReader } from "../../../src/app/read-file.ts";
import { openRuntime, type Runtime } from "../../../src/app/runtime.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { type LogEntry, recordedLog } from "../memory/recorded-log.ts";

export interface RotationWorker extends AsyncDisposable {
  readonly runtime: Runtime;
  /** What it complained about. */
  warnings(): readonly LogEntry[];
}

export function openWorker(env: Readonly<Record<string, string>>): RotationWorker {
  const { log, entries } = recordedLog();
  const { config } = parseConfig(env, fileReader());
  const facts = { hostname: "test", pid: process.pid, version: "0", nodeVersion: "0" };
  const runtime = openRuntime(config, facts, log);
  return {
    runtime,
    warnings: () => entries.filter(({ level }) => level === "warn"),
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}

export function warningAbout(variable: string): object {
  return {
    level: "warn",
    message: "a secret could not be reloaded, its previous value stays in use",
    fields: { problems: [expect.stringMatching(new RegExp(`^${variable} `))] },
  };
}
