import { openHealth } from "../app/health.ts";
import { youngCollector } from "../app/heap.ts";
import { openProcessLog } from "../app/log.ts";
import { openRuntime } from "../app/runtime.ts";
import { parseConfig } from "../config/config.ts";
import { Worker } from "../watchdog/worker/worker.ts";
import type { ProcessContext } from "./process-context.ts";

/**
 * The worker, until the signal aborts.
 *
 * @throws ConfigError, also when the health endpoint cannot listen.
 */
export async function run(context: ProcessContext, signal: AbortSignal): Promise<number> {
  const { env, readFile, stdout } = context;
  const { config, warnings } = parseConfig(env, readFile);
  await using log = openProcessLog(config.log, stdout, 1);
  for (const warning of warnings) log.warn({}, warning);

  await using runtime = openRuntime(config, context, log, { onBulk: youngCollector() });
  const { deps, options, schedule, build } = runtime;
  const worker = new Worker({ ...deps, schedule }, options);
  await using health = await openHealth(config, build, () => worker.facts(), log);
  log.info(
    {
      holder: options.holder,
      lease: deps.lease.kind,
      backend: deps.backend.name,
      schedule: config.schedule.pattern,
      nextSweepAt: schedule.nextAt(),
      health: health?.url ?? "off",
      ...build,
    },
    "run-watchdog is up",
  );
  signal.addEventListener("abort", () => log.info({}, "stopping, writes in flight end first"));
  await worker.run(signal);
  log.info({ reason: String(signal.reason?.message ?? signal.reason) }, "run-watchdog has stopped");
  return 0;
}
