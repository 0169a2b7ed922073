import { openHealth } from "../app/health.ts";
import { heapCollectors } from "../app/heap.ts";
import { openProcessLog } from "../app/log.ts";
import { workerMetrics } from "../app/metrics.ts";
import { openRuntime } from "../app/runtime.ts";
import { parseConfig } from "../config/config.ts";
import { wantsColours } from "../report/colours.ts";
import { statusPage } from "../report/page/page.ts";
import type { WorkerFacts } from "../watchdog/worker/status/worker-facts.ts";
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
  await using log = openProcessLog(config.log, stdout, 1, wantsColours(stdout, env));
  for (const warning of warnings) log.warn({}, warning);

  const metrics = workerMetrics();
  const { hooks, onCall, contentType } = metrics;
  const { onBulk, onRest } = heapCollectors();
  await using runtime = openRuntime(config, context, log, { onBulk, onCall });
  const { deps, options, schedule, build, figures, poolUse } = runtime;
  const store = metrics.timed(deps.store, deps.clock);
  const worker = new Worker({ ...deps, store, schedule, hooks, figures, onRest }, options);
  const page = (facts: WorkerFacts) => statusPage(facts, build);
  const shown = {
    contentType,
    page: () =>
      metrics.page({ build, facts: worker.facts(), sight: worker.sight(), pool: poolUse() }),
  };
  await using health = await openHealth(config, build, () => worker.facts(), page, shown, log);
  log.info(
    {
      holder: options.holder,
      lease: deps.lease.kind,
      backend: deps.backend.name,
      mode: config.mode,
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
