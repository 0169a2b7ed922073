import { migrateDatabase } from "../app/migrate.ts";
import type { MigrateCommand } from "../cli.ts";
import { parseDatabaseConfig } from "../config/config.ts";
import type { Surroundings } from "./surroundings.ts";

/**
 * Creates or updates the worker's own tables.
 *
 * @param signal ends it: what the server does for it is cancelled, and nothing of it stays.
 * @throws ConfigError, StoreSchemaError, StoreUnavailableError, signal.reason.
 */
export async function migrate(
  { env, readFile, stdout, stderr }: Surroundings,
  { check, withHostTables }: MigrateCommand,
  signal: AbortSignal,
): Promise<number> {
  const { config, warnings } = parseDatabaseConfig(env, readFile);
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
