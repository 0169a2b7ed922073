import { openFleet } from "../app/fleet.ts";
import { parsePart } from "../config/config.ts";
import { readDatabase } from "../config/database.ts";
import { pauseText } from "../rules/fleet/pause.ts";
import type { PauseCommand, ResumeCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";
import { writeForPeople } from "./told.ts";

type Needed = Pick<ProcessContext, "env" | "readFile" | "stdout" | "hostname">;

/**
 * Nobody sweeps for a while, whichever worker it is; ends by itself.
 *
 * @throws ConfigError, StoreSchemaError, StoreUnavailableError, signal.reason.
 */
export async function pause(
  context: Needed,
  { forMs, reason, by }: PauseCommand,
  signal: AbortSignal,
): Promise<number> {
  await using fleet = open(context, signal);
  const pause = await fleet.pause({ forMs, reason, by: by ?? whoAsks(context) });
  writeForPeople(
    context.stdout,
    `${pauseText(pause)}\na sweep under way writes no more; run-watchdog resume ends the pause before\n`,
  );
  return 0;
}

/**
 * Ends a pause before its time. That it was not paused is no failure.
 *
 * @throws as `pause`.
 */
export async function resume(
  context: Needed,
  { by }: ResumeCommand,
  signal: AbortSignal,
): Promise<number> {
  await using fleet = open(context, signal);
  const pause = await fleet.resume(by ?? whoAsks(context));
  writeForPeople(
    context.stdout,
    pause === null
      ? "it was not paused\n"
      : `the pause is over, the next tick sweeps; it was ${pauseText(pause)}\n`,
  );
  return 0;
}

function open({ env, readFile }: Needed, signal: AbortSignal) {
  const { config } = parsePart(env, readFile, readDatabase);
  signal.throwIfAborted();
  return openFleet(config);
}

/** As far as the process can know; in a container everybody is the same. */
function whoAsks({ env, hostname }: Needed): string {
  const user = env["USER"] || env["LOGNAME"];
  return user ? `${user}@${hostname}` : hostname;
}
