/** For hosts written in TypeScript: the worker inside another process, with a backend of the host's own if it has one. */
import { openRuntime } from "./app/runtime.ts";
import type { Config } from "./config/config.ts";
import type { SweepReport } from "./rules/report.ts";
import { leadSweep } from "./watchdog/lead/lead-sweep.ts";
import type { Backend, Log } from "./watchdog/ports.ts";
import { Worker } from "./watchdog/worker.ts";
import type { WorkerFacts } from "./watchdog/worker-status.ts";

export type { Config } from "./config/config.ts";
export { ConfigError, parseConfig } from "./config/config.ts";
export type { Evidence, Failure, RunSnapshot } from "./rules/model.ts";
export type { RunOutcome, SweepReport } from "./rules/report.ts";
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
export type { WorkerFacts } from "./watchdog/worker-status.ts";

export interface WatchdogOptions {
  /**
   * Instead of the one the configuration names. A question that outlasts `WATCHDOG_VERIFY_TIMEOUT` is left behind, and an
   * answer of another shape teaches nothing.
   */
  readonly backend?: Backend;
  /** pino's methods; nothing is logged without it. */
  readonly log?: Log;
  /** Shown as the first part of the holder's name, such as a host name. */
  readonly name?: string;
}

export interface Watchdog extends AsyncDisposable {
  /** Sweeps on the schedule until the signal aborts and everything in flight has ended. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /**
   * One sweep now.
   *
   * @returns `null` when another worker holds the lease.
   * @throws when Postgres, its schema or the lease store cannot be used; nothing was swept then.
   */
  sweepOnce(signal: AbortSignal): Promise<SweepReport | null>;
  /** What the worker knows about itself, from memory; feeds a health endpoint of the host's own. */
  facts(): WorkerFacts;
}

/** Opens no connection by itself; dispose of it when it is not needed any more. */
export function createWatchdog(config: Config, options: WatchdogOptions = {}): Watchdog {
  const log = options.log ?? SILENT;
  const facts = {
    hostname: options.name ?? "embedded",
    pid: 0,
    version: "embedded",
    nodeVersion: "embedded",
  };
  const { backend } = options;
  const runtime = openRuntime(config, facts, log, backend === undefined ? {} : { backend });
  const { deps, schedule } = runtime;
  const worker = new Worker({ ...deps, schedule }, runtime.options);
  return {
    run: (signal) => worker.run(signal),
    facts: () => worker.facts(),
    async sweepOnce(signal) {
      const request = {
        trigger: "once",
        intervalMs: schedule.intervalMs(),
        runIds: null,
        limit: null,
        overrideReason: null,
      } as const;
      const result = await leadSweep({ ...deps, watch: {} }, runtime.options, request, signal);
      return result.kind === "swept" ? result.report : null;
    },
    [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
  };
}

const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
