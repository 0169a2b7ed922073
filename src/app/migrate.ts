import type { DatabaseConfig } from "../config/database.ts";
import { type MigrateOptions, type MigrateResult, migrate } from "../io/postgres/migrate.ts";
import { connectionOptions } from "./postgres.ts";

export function migrateDatabase(
  config: DatabaseConfig,
  options: MigrateOptions,
  signal: AbortSignal,
): Promise<MigrateResult> {
  return migrate(connectionOptions(config.endpoint.current), options, signal);
}
