/**
 * For hosts written in TypeScript: the worker inside another process, with a backend of the host's own if it has one.
 * Nothing here changes anything of the process: no V8 flags, no signals, no output.
 */
import "./supported-node.ts";
import process from "node:process";
import packageJson from "../package.json" with { type: "json" };
import { type HealthAnswer, type HealthPath, healthAnswers } from "./app/health.ts";
import { harmless, type WatchdogHooks } from "./app/hooks.ts";
import { workerMetrics } from "./app/metrics.ts";
import { type MigrateOptions, type MigrateResult, migrateDatabase } from "./app/postgres.ts";
import { openRuntime } from "./app/runtime.ts";
import type { Config } from "./config/config.ts";
import type { Explanation } from "./rules/history/explanation.ts";
import type { SweepReport } from "./rules/report.ts";
import { canonicalRunId, clean } from "./rules/text.ts";
import { dryRunSweep } from "./watchdog/lead/dry-run.ts";
import { explainRun } from "./watchdog/lead/explain-run.ts";
import { leadSweep } from "./watchdog/lead/lead-sweep.ts";
import type { Backend, Log } from "./watchdog/ports.ts";
import { type SweepRequest, withHooks } from "./watchdog/sweep/model.ts";
import type { WorkerFacts } from "./watchdog/worker/status/worker-facts.ts";
import { Worker } from "./watchdog/worker/worker.ts";

export type { HealthAnswer, HealthPath } from "./app/health.ts";
export type { WatchdogHooks } from "./app/hooks.ts";
export type { MigrateOptions, MigrateResult } from "./app/postgres.ts";
export type { Config, Parsed, ParseOptions } from "./config/config.ts";
export { ConfigError, parseConfig } from "./config/config.ts";
export type { DependencyStatus, Health, HealthFacts, Liveness, Readiness } from "./rules/health.ts";
export { health, liveness, readiness } from "./rules/health.ts";
export type {
  AppliedRule,
  DryRunResult,
  Explanation,
  GuardView,
} from "./rules/history/explanation.ts";
export type {
  JournaledSuspicion,
  JournaledVerdict,
  Remembered,
  RunRecord,
} from "./rules/history/journal.ts";
export type { Evidence, Failure, GoneReason, RunSnapshot } from "./rules/model.ts";
export type { RunOutcome, SweepReport, SweepStatus } from "./rules/report.ts";
export {
  LeaseLostError,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "./watchdog/errors.ts";
export type {
  ApiThrottle,
  Backend,
  CleanupResult,
  CleanupTarget,
  Log,
  PauseResult,
  RunIdName,
  SharedApi,
} from "./watchdog/ports.ts";
export type { WorkerFacts } from "./watchdog/worker/status/worker-facts.ts";

export interface WatchdogOptions extends WatchdogHooks {
  /**
   * Instead of the one the configuration names. A question that outlasts `WATCHDOG_VERIFY_TIMEOUT` is given up, and an
   * answer of another shape counts as "cannot tell".
   */
  readonly backend?: Backend;
  /** pino's methods; nothing is logged without it. */
  readonly log?: Log;
  /** Shown as the first part of the holder's name, such as a host name. */
  readonly name?: string;
}

export interface SweepOnceOptions {
  /** Judges on the same path and with every limit, takes no lease and writes nothing. */
  readonly dryRun?: boolean;
  /** Only these runs, as UUIDs; those that are not past their deadline are skipped. */
  readonly runIds?: readonly string[];
  /** At most this many runs; a whole number from 1. */
  readonly limit?: number;
  /** Lets every confirmed presumption of this sweep pass the guard. Says why; the journal keeps it. */
  readonly overrideReason?: string;
}

export interface Watchdog extends AsyncDisposable {
  /** Sweeps on the schedule until the signal aborts and everything in flight has ended. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * One sweep now.
   *
   * @returns `null` when another worker holds the lease, or the fleet keeps it elsewhere (`REDIS_URL`), or is paused; a
   *   dry run needs none, and with `WATCHDOG_MODE=observe` each one is dry. What goes wrong once the sweep has begun is in the report.
   * @throws StoreUnavailableError, StoreSchemaError, LeaseUnavailableError, LeaseLostError or the signal's reason when
   *   nothing was swept; TypeError when an option is none of what it may be.
   */
  sweepOnce(signal: AbortSignal, options?: SweepOnceOptions): Promise<SweepReport | null>;
  /**
   * Why a run is where it is, and what a sweep that is limited to it would do now: asks the backend and writes nothing.
   *
   * @returns `null` when neither the host nor the journal knows such a run.
   * @throws StoreUnavailableError, StoreSchemaError or the signal's reason; TypeError for what is no UUID.
   */
  explain(runId: string, signal: AbortSignal): Promise<Explanation | null>;
  /** What the worker knows about itself, from memory: for `liveness`, `readiness` and `health`. */
  facts(): WorkerFacts;
  /** What the command's own endpoint answers at that path, from memory: for an HTTP server of the host's own. */
  answer(path: HealthPath): HealthAnswer;
  /** What the command's own endpoint answers at /metrics, from memory; dry runs are not counted. */
  metrics(): Promise<MetricsAnswer>;
}

/** Text in the format of Prometheus, and the `content-type` to send it with. */
export interface MetricsAnswer {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Opens no connection by itself; dispose of it when it is not needed any more.
 *
 * @throws ConfigError when `config` was parsed for a backend of your own, and there is none.
 */
export function createWatchdog(config: Config, options: WatchdogOptions = {}): Watchdog {
  const { backend, log = SILENT, name = "embedded" } = options;
  const { version } = packageJson;
  const facts = { hostname: name, pid: 0, version, nodeVersion: process.version };
  const metrics = workerMetrics();
  const runtime = openRuntime(config, facts, log, { backend, onCall: metrics.onCall });
  const { schedule, build, figures, poolUse } = runtime;
  const deps = { ...runtime.deps, store: metrics.timed(runtime.deps.store, runtime.deps.clock) };
  const told = harmless(options, log);
  const hooks = withHooks(metrics.hooks, told);
  const worker = new Worker({ ...deps, schedule, hooks, figures }, runtime.options);
  const answers = healthAnswers(config, build, () => worker.facts());
  return {
    run: (signal) => worker.run(signal),
    facts: () => worker.facts(),
    answer: (path) => answers[path](),
    async metrics() {
      const known = { build, facts: worker.facts(), sight: worker.sight(), pool: poolUse() };
      return { contentType: metrics.contentType, text: await metrics.page(known) };
    },
    async sweepOnce(signal, { dryRun = false, ...selection } = {}) {
      const request = requestOf(selection, schedule.intervalMs());
      if (dryRun || runtime.options.observes) {
        return (await dryRunSweep({ ...deps, watch: told }, runtime.options, request, signal))
          .report;
      }
      const result = await leadSweep({ ...deps, watch: hooks }, runtime.options, request, signal);
      return result.kind === "swept" ? result.report : null;
    },
    async explain(runId, signal) {
      const { reader, options: leadOptions } = runtime;
      const id = runIdOf(runId);
      return await explainRun({ ...deps, reader }, leadOptions, id, schedule.intervalMs(), signal);
    },
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}

/**
 * Creates or updates the schema `watchdog`, as the command `migrate` does; safe from several processes at once. With
 * `check` it only tells what is missing.
 *
 * @throws StoreUnavailableError, StoreSchemaError when a privilege is missing, or the signal's reason.
 */
export function migrate(
  { database }: Pick<Config, "database">,
  signal: AbortSignal,
  { check = false, withHostTables = false }: Partial<MigrateOptions> = {},
): Promise<MigrateResult> {
  return migrateDatabase(database, { check, withHostTables }, signal);
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

function requestOf(
  { runIds, limit, overrideReason }: Omit<SweepOnceOptions, "dryRun">,
  intervalMs: number,
): SweepRequest {
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit >= 1)) {
    throw new TypeError(`limit must be a whole number from 1, got ${limit}`);
  }
  const reason = overrideReason === undefined ? null : clean(overrideReason).trim();
  if (reason === "") throw new TypeError("overrideReason must say why, got no text");
  return {
    trigger: "once",
    intervalMs,
    runIds: runIds?.map(runIdOf) ?? null,
    limit: limit ?? null,
    overrideReason: reason,
  };
}

function runIdOf(text: string): string {
  const id = canonicalRunId(text);
  if (id === null) throw new TypeError(`a run's id must be a UUID, got ${JSON.stringify(text)}`);
  return id;
}
