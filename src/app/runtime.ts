import { randomBytes } from "node:crypto";
import { type Config, configFingerprint } from "../config/config.ts";
import { systemClock, systemRandom } from "../io/clock.ts";
import { customBackend } from "../io/custom-backend/custom-backend.ts";
import type { OnCall } from "../io/http/observed.ts";
import type { PoolUse } from "../io/postgres/connection/pool.ts";
import { PostgresLease } from "../io/postgres/leadership/lease.ts";
import { RedisLease } from "../io/redis/lease.ts";
import { cronSchedule } from "../io/schedule.ts";
import { OpenTelemetry } from "../io/tracing.ts";
import type { FigureReads } from "../watchdog/figure-ports.ts";
import type { JournalReader } from "../watchdog/journal-ports.ts";
import type { LeadDeps } from "../watchdog/lead/model.ts";
import type { Backend, Lease, Log, Schedule } from "../watchdog/ports.ts";
import type { WorkerOptions } from "../watchdog/worker/worker.ts";
import { openBackend, runsInHand } from "./backend.ts";
import type { Build } from "./health.ts";
import { openDatabase, openPostgres } from "./postgres.ts";

/** What the process looks like from inside: set by the command, or by a host that embeds the worker. */
export interface ProcessFacts {
  readonly hostname: string;
  readonly pid: number;
  readonly version: string;
  readonly nodeVersion: string;
}

/** Everything the work needs, opened; closing it closes what was opened last first. */
export interface Runtime extends AsyncDisposable {
  readonly deps: Omit<LeadDeps, "watch">;
  readonly reader: JournalReader;
  readonly schedule: Schedule;
  readonly options: WorkerOptions;
  readonly build: Build;
  readonly figures: FigureReads;
  readonly poolUse: () => PoolUse;
}

export interface RuntimeExtras {
  /** Instead of the one the configuration names; closing it is the caller's business. */
  readonly backend?: Backend | undefined;
  /** Called each time that some 16 MiB of answers have come in and are garbage by now. */
  readonly onBulk?: (() => void) | undefined;
  /** Nothing is going to be written, as with the mode `observe`. */
  readonly observes?: boolean | undefined;
  /** Told of every call to the configured backend, and of every question to one of the caller's own. */
  readonly onCall?: OnCall | undefined;
}

/** Opens nothing that could fail because something is away: connections come with the first use. */
export function openRuntime(
  config: Config,
  facts: ProcessFacts,
  log: Log,
  { backend: own, onBulk, onCall, observes = config.mode === "observe" }: RuntimeExtras = {},
): Runtime {
  const resources = new AsyncDisposableStack();
  const { store, leadership, journal, fleet, reader, figures, poolUse } = resources.use(
    openPostgres(config.database, log, observes ? "read" : "write"),
  );
  const lease = resources.use(openLease(config, log));
  const { verifyTimeoutMs } = config.sweep;
  const tracing = new OpenTelemetry(facts.version, log);
  // The process may end right after.
  resources.defer(() => tracing.flush());
  const backend = own
    ? customBackend(own, { log, clock: systemClock, verifyTimeoutMs, onCall })
    : resources.use(openBackend(config, log, onBulk, onCall, tracing));
  const clock = systemClock;
  const random = systemRandom;
  const holder = `${facts.hostname}/${facts.pid}/${randomBytes(2).toString("hex")}`;
  const build = {
    version: facts.version,
    node: facts.nodeVersion,
    fingerprint: configFingerprint(config),
  };
  return {
    deps: { store, leadership, journal, fleet, lease, backend, clock, random, log, tracing },
    reader,
    figures,
    poolUse,
    schedule: cronSchedule(config.schedule.pattern, clock),
    options: { ...workerOptions(config, holder), ...build, observes },
    build,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

const LEASE_COMMAND_TIMEOUT_MS = 2000;
const LEASE_CLOSE_WITHIN_MS = 1000;

/** Redis when there is one, else the leadership row, on a connection of its own. Connects with the first call. */
function openLease({ redis, database: options, lease }: Config, log: Log): Lease & AsyncDisposable {
  if (redis === null) {
    const database = openDatabase(options, 1, log);
    return Object.assign(new PostgresLease(database), {
      [Symbol.asyncDispose]: () => database.close(LEASE_CLOSE_WITHIN_MS),
    });
  }
  // Shorter than the distance of renewals: a command that hangs must not eat up the trust.
  const commandTimeoutMs = Math.min(LEASE_COMMAND_TIMEOUT_MS, lease.renewMs);
  return new RedisLease(() => ({
    ...redis.refresh(log),
    commandTimeoutMs,
    connectTimeoutMs: commandTimeoutMs,
    log,
  }));
}

/** No finished statement or question for this long: the leader is cut off and gives the lease up. */
const PROGRESS_TIMEOUT_MS = 60_000;
const CLEANUP_TAIL_MS = 30_000;

function workerOptions(
  config: Config,
  holder: string,
): Omit<WorkerOptions, "observes" | "version" | "fingerprint"> {
  const { apiConcurrency, verifyTimeoutMs, ...sweep } = config.sweep;
  const { journalRetentionMs, ...delays } = config.cleanup;
  const policy = { ...config.verdict, unverifiableAfterMs: config.guard.unverifiableAfterMs };
  return {
    holder,
    shards: config.shards,
    lease: config.lease,
    // A single question may take as long as it is allowed to.
    progressTimeoutMs: Math.max(PROGRESS_TIMEOUT_MS, 2 * verifyTimeoutMs),
    sweep: { ...sweep, ...delays, policy, guard: config.guard, concurrency: runsInHand(config) },
    journalRetentionMs,
    cleanupSlots: { beside: Math.ceil(apiConcurrency / 16), after: apiConcurrency },
    cleanupTailMs: CLEANUP_TAIL_MS,
    verifyTimeoutMs,
  };
}
