import { patienceMs, readFleetView } from "../app/fleet.ts";
import { parsePart } from "../config/config.ts";
import { readDatabase } from "../config/database.ts";
import { readSchedule } from "../config/schedule.ts";
import { humanStatus, jsonStatus } from "../report/status.ts";
import { fleetStatus } from "../rules/status/fleet-status.ts";
import type { StatusCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * What the database alone tells about all workers: it may be asked from anywhere, and while none of them runs.
 *
 * @throws ConfigError, StoreSchemaError, StoreUnavailableError, signal.reason.
 */
export async function status(
  { env, readFile, stdout }: Pick<ProcessContext, "env" | "readFile" | "stdout">,
  { json }: StatusCommand,
  signal: AbortSignal,
): Promise<number> {
  const { config } = parsePart(env, readFile, (reader) => ({
    database: readDatabase(reader),
    schedule: readSchedule(reader),
  }));
  const view = await readFleetView(config.database, signal);
  const found = fleetStatus(view, patienceMs(config.schedule.pattern));
  stdout.write(json ? jsonStatus(view, found) : humanStatus(view, found));
  return found.exitCode;
}
