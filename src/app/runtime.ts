import { randomBytes } from "node:crypto";
import { type Config, configFingerprint } from "../config/config.ts";
import { systemClock, systemRandom } from "../io/clock.ts";
import { customBackend } from "../io/custom-backend/custom-backend.ts";
import { cronSchedule } from "../io/schedule.ts";
import type { LeadDeps } from "../watchdog/lead/model.ts";
import type { Backend, Log, Schedule } from "../watchdog/ports.ts";
import type { WorkerOptions } from "../watchdog/worker.ts";
import { openBackend } from "./backend.ts";
import type { Build } from "./health.ts";
import { openLease } from "./lease.ts";
import { workerOptions } from "./options.ts";
import { openPostgres } from "./postgres.ts";

/** What the process looks like from inside: set by main.ts, or by a host that embeds the worker. */
export interface ProcessFacts {
  readonly hostname: string;
  readonly pid: number;
  readonly version: string;
  readonly nodeVersion: string;
}

/** Everything the work needs, opened; closing it closes what was opened last first. */
export interface Runtime extends AsyncDisposable {
  readonly deps: Omit<LeadDeps, "watch">;
  readonly schedule: Schedule;
  readonly options: WorkerOptions;
  readonly build: Build;
}

export interface RuntimeExtras {
  /** Instead of the one the configuration names; closing it is the caller's business. */
  readonly backend?: Backend;
}

/** Opens nothing that could fail because something is away: connections come with the first use. */
export function openRuntime(
  config: Config,
  facts: ProcessFacts,
  log: Log,
  extras: RuntimeExtras = {},
): Runtime {
  const resources = new AsyncDisposableStack();
  const stores = resources.use(openPostgres(config.database, log));
  const lease = resources.use(openLease(config, log));
  const { verifyTimeoutMs } = config.sweep;
  const backend = extras.backend
    ? customBackend(extras.backend, { log, clock: systemClock, verifyTimeoutMs })
    : resources.use(openBackend(config, log));
  const { store, leadership, journal } = stores;
  const clock = systemClock;
  const random = systemRandom;
  const holder = `${facts.hostname}/${facts.pid}/${randomBytes(2).toString("hex")}`;
  return {
    deps: { store, leadership, journal, lease, backend, clock, random, log },
    schedule: cronSchedule(config.schedule.pattern, clock),
    options: workerOptions(config, holder),
    build: {
      version: facts.version,
      node: facts.nodeVersion,
      fingerprint: configFingerprint(config),
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
