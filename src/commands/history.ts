import { openProcessLog } from "../app/log.ts";
import { openPostgres } from "../app/postgres.ts";
import { untilStopped } from "../app/until-stopped.ts";
import { parsePart } from "../config/config.ts";
import { readDatabase } from "../config/database.ts";
import { readLog } from "../config/log.ts";
import { humanHistory, jsonHistory } from "../report/history/history.ts";
import type { HistoryCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * Prints what the journal says. Asks the database and nobody else, for nothing but reads.
 *
 * @returns the exit code 0.
 * @throws ConfigError, StoreSchemaError: exit code 2. StoreUnavailableError: 69. `signal.reason`.
 */
export async function history(
  { env, readFile, stdout, stderr }: ProcessContext,
  command: HistoryCommand,
  signal: AbortSignal,
): Promise<number> {
  const { config, warnings } = parsePart(env, readFile, (reader) => ({
    database: readDatabase(reader),
    log: readLog(reader),
  }));
  await using log = openProcessLog(config.log, stderr, 2);
  for (const warning of warnings) log.warn({}, warning);
  await using postgres = openPostgres({ ...config.database, poolSize: 1 }, log, "read");
  const { name: _, json, limit, ...asked } = command;
  // One more tells whether there are more.
  const asking = postgres.reader.verdicts({ ...asked, limit: limit + 1 });
  const found = await untilStopped(asking, signal);
  const shown = { verdicts: found.slice(0, limit), more: found.length > limit };
  stdout.write(json ? jsonHistory(shown) : humanHistory(shown));
  return 0;
}
