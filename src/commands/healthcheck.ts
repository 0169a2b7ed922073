import { askLiveness } from "../app/health.ts";
import { untilStopped } from "../app/until-stopped.ts";
import { parsePart } from "../config/config.ts";
import { readHealth } from "../config/health.ts";
import type { ProcessContext } from "./process-context.ts";

type Needed = Pick<ProcessContext, "env" | "readFile" | "stdout"> & {
  readonly stderr: ProcessContext["stdout"];
};

/**
 * For the image's HEALTHCHECK: asks the worker beside it, which has the same environment.
 *
 * @returns 0 when no restart would help, also where there is no fixed address to ask: then the orchestrator's own probe
 *   is the one that counts. 1 otherwise.
 * @throws ConfigError, signal.reason.
 */
export async function healthcheck(
  { env, readFile, stdout, stderr }: Needed,
  signal: AbortSignal,
): Promise<number> {
  const { config } = parsePart(env, readFile, readHealth);
  if (config.port === null || config.port === 0) {
    stdout.write("no fixed port to ask, WATCHDOG_HEALTH_PORT is off or 0\n");
    return 0;
  }
  const { alive, answer } = await untilStopped(askLiveness(config.host, config.port), signal);
  (alive ? stdout : stderr).write(`${answer.trimEnd()}\n`);
  return alive ? 0 : 1;
}
