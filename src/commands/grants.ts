import { readPlaceOfGrants } from "../app/fleet.ts";
import { ConfigError, parsePart } from "../config/config.ts";
import { readDatabase } from "../config/database.ts";
import { type GrantedPlace, grantStatements } from "../rules/doctor/privileges.ts";
import { StoreUnavailableError } from "../watchdog/errors.ts";
import type { GrantsCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";
import { writeForPeople } from "./told.ts";

/**
 * Prints what to grant to the worker's user, and nothing else to stdout. The database is only asked which columns the
 * host's tables have: where it cannot be, all that a host may have are named, and stderr says so.
 *
 * @throws signal.reason.
 */
export async function grants(
  context: Pick<ProcessContext, "env" | "readFile" | "stdout" | "stderr">,
  { role }: GrantsCommand,
  signal: AbortSignal,
): Promise<number> {
  const place = await lookAt(context, signal);
  for (const line of grantStatements(role, place)) context.stdout.write(`${line}\n`);
  return 0;
}

async function lookAt(
  { env, readFile, stderr }: Pick<ProcessContext, "env" | "readFile" | "stderr">,
  signal: AbortSignal,
): Promise<GrantedPlace | null> {
  let why = "the host's tables are not there";
  try {
    const { config } = parsePart(env, readFile, readDatabase);
    const place = await readPlaceOfGrants(config, signal);
    if (place !== null) return place;
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof StoreUnavailableError)) throw error;
    why = error.message;
  }
  const note = "every column that a host may have is named, leave out those that yours lacks";
  writeForPeople(stderr, `${note}: ${why}\n`);
  return null;
}
