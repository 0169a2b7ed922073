/**
 * The environment, parsed once into one frozen object. All defaults live here and in config/; nothing else reads a
 * variable. Lengths of time are milliseconds.
 */
import { createHash } from "node:crypto";
import type { GuardPolicy } from "../rules/guard.ts";
import type { RedisEndpoint } from "../rules/network/endpoints.ts";
import type { ProxySettings } from "../rules/network/no-proxy.ts";
import type { LeaseTiming } from "../rules/timing.ts";
import { type BackendConfig, readBackend } from "./backend.ts";
import { type DatabaseConfig, readDatabase } from "./database.ts";
import { type Env, EnvReader } from "./env/env-reader.ts";
import { EnvSecret, type ReloadableSecret } from "./env/reloadable-secret.ts";
import type { VariableName } from "./env/settings.ts";
import { type HealthConfig, readHealth } from "./health.ts";
import { checkLeaseRelations, readLease } from "./lease.ts";
import { type LogConfig, readLog } from "./log.ts";
import { readRedis } from "./redis.ts";
import { readSchedule, type ScheduleConfig, shortestIntervalMs } from "./schedule.ts";
import {
  type CleanupConfig,
  type HardDeadlineConfig,
  readCleanup,
  readGuard,
  readSweep,
  readVerdictPolicy,
  type SweepConfig,
} from "./sweep.ts";
import { readProxy } from "./urls/proxy.ts";

/** Grouped by who uses it. */
export interface Config {
  readonly database: DatabaseConfig;
  /** `null`: the lease is kept in Postgres. */
  readonly redis: ReloadableSecret<RedisEndpoint> | null;
  /** `observe`: judges, logs and counts, and writes nothing. */
  readonly mode: "live" | "observe";
  readonly schedule: ScheduleConfig;
  readonly lease: LeaseTiming;
  /** Into how many the runs are divided. */
  readonly shards: number;
  readonly sweep: SweepConfig;
  readonly verdict: HardDeadlineConfig;
  readonly guard: GuardPolicy;
  readonly cleanup: CleanupConfig;
  readonly backend: BackendConfig;
  readonly proxy: ReloadableSecret<ProxySettings | null>;
  readonly health: HealthConfig;
  readonly log: LogConfig;
}

export interface ParseOptions {
  /** `own`: `createWatchdog` is given a backend, so no setting of another one is asked for. */
  readonly backend?: "own";
}

export interface Parsed<T> {
  readonly config: T;
  /** To be logged once; the worker runs all the same. */
  readonly warnings: readonly string[];
}

/** Each problem is one line that names the variable and never quotes a secret. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    const lines = problems.map((text) => `  ${text}`).join("\n");
    super(`the configuration is not usable:\n${lines}`, options);
    this.problems = problems;
  }
}

/**
 * @param readFile reads a file that the environment names, the one behind a `<NAME>_FILE` variable or a root
 *   certificate, now and again later when a secret may have changed; what it throws now becomes a problem.
 * @throws ConfigError with every problem at once.
 */
export function parseConfig(
  env: Env,
  readFile: (path: string) => string,
  options: ParseOptions = {},
): Parsed<Config> {
  const reader = new EnvReader(env, readFile);
  return finished(reader, readConfig(reader, options));
}

/** Everything that was found, for whoever shows it: with problems there is no configuration, but all else is known. */
export interface ExaminedConfig {
  readonly config: Config | null;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** The variables that were asked for. */
  readonly asked: ReadonlySet<VariableName>;
}

/** As `parseConfig`, and does not throw. */
export function examineConfig(env: Env, readFile: (path: string) => string): ExaminedConfig {
  const reader = new EnvReader(env, readFile);
  const config = readConfig(reader, {});
  const { problems, warnings, asked } = reader;
  return { config: problems.length > 0 ? null : frozen(config), problems, warnings, asked };
}

function readConfig(reader: EnvReader, options: ParseOptions): Config {
  const isOwn = options.backend === "own";
  const config: Config = {
    database: readDatabase(reader),
    redis: readRedis(reader),
    mode: reader.choice("WATCHDOG_MODE"),
    schedule: readSchedule(reader),
    lease: readLease(reader),
    shards: reader.integer("WATCHDOG_SHARDS"),
    sweep: readSweep(reader),
    verdict: readVerdictPolicy(reader),
    guard: readGuard(reader),
    cleanup: readCleanup(reader),
    backend: isOwn ? { kind: "own" } : readBackend(reader),
    proxy: new EnvSecret(reader, isOwn ? () => null : readProxy),
    health: readHealth(reader),
    log: readLog(reader),
  };
  checkLeaseRelations(reader, config.lease);
  warnWhenTicksMissDeferredRuns(reader, config);
  reader.checkNames();
  return config;
}

/**
 * A part of it, for a command that runs where the rest may not be set.
 *
 * @throws ConfigError with every problem at once.
 */
export function parsePart<T extends object>(
  env: Env,
  readFile: (path: string) => string,
  read: (reader: EnvReader) => T,
): Parsed<T> {
  const reader = new EnvReader(env, readFile);
  return finished(reader, read(reader));
}

/** Equal for workers with the same settings, whatever their secrets: to compare replicas. 12 hex digits. */
export function configFingerprint(config: Config): string {
  const settings = JSON.stringify(config, (key, value: unknown) => {
    if (SECRET_FIELDS.has(key)) return undefined;
    return value instanceof EnvSecret ? value.current : value;
  });
  return createHash("sha256").update(settings).digest("hex").slice(0, 12);
}

const SECRET_FIELDS: ReadonlySet<string> = new Set([
  "password",
  "serviceKey",
  "apiKey",
  "token",
  "httpProxy",
  "httpsProxy",
]);

function finished<T extends object>(reader: EnvReader, config: T): Parsed<T> {
  if (reader.problems.length > 0) throw new ConfigError([...reader.problems]);
  return { config: frozen(config), warnings: [...reader.warnings] };
}

function frozen<T extends object>(value: T): T {
  for (const child of Object.values(value)) {
    if (typeof child === "object" && child !== null) frozen(child);
  }
  return Object.freeze(value);
}

function warnWhenTicksMissDeferredRuns(reader: EnvReader, { schedule, sweep }: Config): void {
  if (reader.failed("WATCHDOG_SCHEDULE", "WATCHDOG_DEFER")) return;
  const intervalMs = shortestIntervalMs(schedule.pattern);
  if (sweep.deferMs < intervalMs) return;
  reader.warn(
    `WATCHDOG_DEFER (${sweep.deferMs} ms) is not shorter than the shortest interval of WATCHDOG_SCHEDULE (${intervalMs} ms), so a deferred run is seen again on every second tick at best`,
  );
}
