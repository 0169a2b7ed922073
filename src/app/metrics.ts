import type { OnCall } from "../io/http/observed.ts";
import { Metrics } from "../io/metrics/metrics.ts";
import type { RunSnapshot } from "../rules/model.ts";
import { eachCall } from "../watchdog/port-calls.ts";
import type { Clock } from "../watchdog/ports.ts";
import type { RunStore } from "../watchdog/store-ports.ts";
import type { SweepHooks } from "../watchdog/sweep/model.ts";
import { type GaugeFacts, gaugesOf } from "./gauges.ts";

/** Counts what a worker does, and says it in the text format of Prometheus. */
export interface WorkerMetrics {
  readonly hooks: SweepHooks;
  readonly onCall: OnCall;
  /** The same store; how long it takes to end runs is observed. */
  timed(store: RunStore, clock: Pick<Clock, "monotonicMs">): RunStore;
  readonly contentType: string;
  /** From memory. */
  page(known: GaugeFacts): Promise<string>;
}

export function workerMetrics(): WorkerMetrics {
  const metrics = new Metrics();
  return {
    hooks: sweepHooks(metrics),
    onCall({ source, operation, result, durationMs }) {
      metrics.count("watchdog_backend_calls_total", { source, operation, result });
      metrics.observe("watchdog_backend_call_duration_seconds", durationMs, { source, operation });
    },
    timed: (store, clock) => timedStore(store, clock, metrics),
    contentType: metrics.contentType,
    page: (known) => metrics.page(gaugesOf(known)),
  };
}

function timedStore(
  store: RunStore,
  clock: Pick<Clock, "monotonicMs">,
  metrics: Metrics,
): RunStore {
  const readMs = new WeakMap<RunSnapshot, number>();
  return {
    ...eachCall(store, (call) => call()),
    async read(runId, query) {
      const run = await store.read(runId, query);
      if (run !== null) readMs.set(run, clock.monotonicMs());
      return run;
    },
    async apply(write, fence) {
      const { run } = write;
      const begunMs = clock.monotonicMs();
      const result = await store.apply(write, fence);
      const endedMs = clock.monotonicMs();
      metrics.observe("watchdog_apply_duration_seconds", endedMs - begunMs);
      // By the database's clock until the row was read, by ours from then on.
      const sinceReadMs = endedMs - (readMs.get(run) ?? endedMs);
      const lagMs = Date.parse(run.readAt) - run.firstDeadlineMs + sinceReadMs;
      if (result.kind === "written") metrics.observe("watchdog_detection_lag_seconds", lagMs);
      return result;
    },
  };
}

function sweepHooks(metrics: Metrics): SweepHooks {
  return {
    onOutcome({ action, basis, verifyMs }) {
      metrics.count("watchdog_runs_total", { action, basis: basis ?? "none" });
      if (verifyMs !== null) metrics.observe("watchdog_verify_duration_seconds", verifyMs);
    },
    onSweep({ status, durationMs, cleanups }) {
      metrics.count("watchdog_sweeps_total", { result: status });
      metrics.observe("watchdog_sweep_duration_seconds", durationMs);
      metrics.count("watchdog_cleanups_total", { result: "done" }, cleanups.done);
      metrics.count("watchdog_cleanups_total", { result: "abandoned" }, cleanups.abandoned);
    },
    onOverturned: (count) => metrics.count("watchdog_verdicts_overturned_total", {}, count),
    onEndedElsewhere: (count) => metrics.count("watchdog_shield_violations_total", {}, count),
  };
}
