import { showConfig } from "../config/shown.ts";
import { humanConfig, jsonConfig } from "../report/doctor/config.ts";
import type { ConfigCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";
import { writeForPeople } from "./told.ts";

/**
 * Shows what is in force, where each value came from, and no part of a secret.
 *
 * @returns 0, or 2 when the settings cannot be used; the problems are told on stderr then, and in the document.
 */
export function config(
  { env, readFile, stdout, stderr }: ProcessContext,
  { json }: ConfigCommand,
): number {
  const shown = showConfig(env, readFile);
  const exitCode = shown.problems.length > 0 ? 2 : 0;
  stdout.write(json ? jsonConfig(shown, exitCode) : humanConfig(shown));
  for (const text of shown.warnings) writeForPeople(stderr, `warning: ${text}\n`);
  for (const text of shown.problems) writeForPeople(stderr, `problem: ${text}\n`);
  return exitCode;
}
