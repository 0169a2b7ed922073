import { openProcessLog } from "../app/log.ts";
import { openRuntime } from "../app/runtime.ts";
import { untilStopped } from "../app/until-stopped.ts";
import { parseConfig } from "../config/config.ts";
import { humanExplanation, jsonExplanation } from "../report/history/explain.ts";
import { explainRun } from "../watchdog/lead/explain-run.ts";
import type { ExplainCommand } from "./command.ts";
import type { ProcessContext } from "./process-context.ts";
import { tellProblems, writeForPeople } from "./told.ts";

const UNKNOWN_RUN = 3;

/**
 * Says why a run is where it is, and what a sweep would do with it now. Writes nothing anywhere.
 *
 * @returns the exit code: 0, or 3 when there is no such run.
 * @throws ConfigError, StoreSchemaError: exit code 2. StoreUnavailableError: 69. `signal.reason`.
 */
export async function explain(
  context: ProcessContext,
  { runId, json }: ExplainCommand,
  signal: AbortSignal,
): Promise<number> {
  const { env, readFile, stdout, stderr } = context;
  const { config, warnings } = parseConfig(env, readFile);
  await using log = openProcessLog(config.log, stderr, 2);
  for (const warning of warnings) log.warn({}, warning);
  await using runtime = openRuntime(config, context, log, { observes: true });
  const { deps, reader, options, schedule } = runtime;
  const interval = schedule.intervalMs();
  const explaining = explainRun({ ...deps, reader }, options, runId, interval, signal);
  const explanation = await untilStopped(explaining, signal);
  if (explanation === null) {
    const unknown = `there is no run ${runId}, neither in automation_runs nor in the journal: check the id, and that DATABASE_URL or AUTOMATION_DB_* names the host's database`;
    writeForPeople(stderr, `run-watchdog: ${unknown}\n`);
    return tellProblems(context, json ? "json" : "human", UNKNOWN_RUN, [unknown]);
  }
  stdout.write(json ? jsonExplanation(explanation) : humanExplanation(explanation));
  return 0;
}
