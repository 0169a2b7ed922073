import { migrateDatabase } from "../app/postgres.ts";
import { parsePart } from "../config/config.ts";
import { readDatabase } from "../config/database.ts";
import type { MigrateCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * Creates or updates the worker's own tables.
 *
 * @param signal ends it: what the server does for it is cancelled, and nothing of it stays.
 * @throws ConfigError, StoreSchemaError, StoreUnavailableError, signal.reason.
 */
export async function migrate(
  { env, readFile, stdout, stderr }: ProcessContext,
  { check, withHostTables }: MigrateCommand,
  signal: AbortSignal,
): Promise<number> {
  const { config, warnings } = parsePart(env, readFile, readDatabase);
  for (const warning of warnings) stderr.write(`${warning}\n`);
  signal.throwIfAborted();
  const options = { check, withHostTables };
  const { applied, total } = await migrateDatabase(config, options, signal);
  if (applied.length === 0) {
    stdout.write(`schema watchdog is up to date (${total} migrations)\n`);
  } else {
    const verb = check ? "missing" : "applied";
    for (const tag of applied) stdout.write(`${verb} ${tag}\n`);
  }
  if (check && applied.length > 0) {
    stderr.write("schema watchdog is not up to date: run `run-watchdog migrate`\n");
    return 2;
  }
  if (withHostTables) stdout.write("the host's tables exist\n");
  return 0;
}
