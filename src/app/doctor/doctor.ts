import { type Config, configFingerprint, examineConfig } from "../../config/config.ts";
import type { Env } from "../../config/env/env-reader.ts";
import { readHostSettings } from "../../config/host-settings.ts";
import { readParts } from "../../config/parts.ts";
import { shortestIntervalMs } from "../../config/schedule.ts";
import { diagnoseRedis } from "../../io/redis/diagnosis.ts";
import { BACKEND, checkBackend, checkLookup } from "../../rules/doctor/backend.ts";
import { type Check, type Fact, ok, skipped, warning } from "../../rules/doctor/check.ts";
import { checkOthers, checkPostgres, type PostgresFacts } from "../../rules/doctor/database.ts";
import type { OwnWorker } from "../../rules/doctor/fleet.ts";
import { POSTGRES } from "../../rules/doctor/postgres.ts";
import { checkRedis, REDIS } from "../../rules/doctor/redis.ts";
import { checkSettings, type SettingsFacts } from "../../rules/doctor/settings.ts";
import { noteOf } from "../../rules/fleet/shard.ts";
import type { RunSnapshot } from "../../rules/model.ts";
import type { Log } from "../../watchdog/ports.ts";
import type { BackendSettings } from "../backend.ts";
import { untilStopped } from "../until-stopped.ts";
import { askAbout, neededIds, reachBackend } from "./backend.ts";
import { type Diagnosed, diagnosePostgres, nowMs } from "./postgres.ts";

export interface DoctorInput {
  readonly env: Env;
  readonly readFile: (path: string) => string;
  readonly version: string;
}

export interface Diagnosis {
  /** In the order of their dependencies. */
  readonly checks: readonly Check[];
  /** Whether the configuration can be used as it is. */
  readonly usable: boolean;
}

/** Looks at every link of the chain, also where an earlier one is broken that it does not depend on. Writes nothing. */
export async function diagnose(
  { env, readFile, version }: DoctorInput,
  log: Log,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const { config, problems, warnings } = examineConfig(env, readFile);
  const parts = config === null ? readParts(env, readFile) : partsOf(config);
  const settings: SettingsFacts = { problems, warnings, inForce: config && inForceOf(config) };
  const needs = parts.backend === null ? [] : neededIds(parts.backend);
  const database = parts.database?.database ?? null;
  const access = config?.mode === "observe" ? "read" : "write";
  const questions = { limits: limitsOf(parts.backend), needs, access } as const;
  const found: Diagnosed | null =
    database && (await diagnosePostgres(database, questions, log, signal));
  const facts: Fact<PostgresFacts> = found?.facts ?? NOT_SET;
  const own = config && ownWorker(config, version);
  const postgres = database
    ? checkPostgres(facts, database.pooler)
    : skipped("settings", "postgres");
  const checks = [
    ...checkSettings(settings),
    ...postgres,
    ...(await checkLease(parts.redis, facts, failedOf(postgres, OWN_TABLES), signal)),
    ...(await checkRemote(parts.backend, sampleOf(found, postgres), log, signal)),
    ...checkOthers(facts, own, readHostSettings(env)),
  ];
  return { checks, usable: config !== null };
}

/** @returns the link, if it failed. */
function failedOf(checks: readonly Check[], link: string): string | null {
  return checks.some((check) => check.link === link && check.result === "failure") ? link : null;
}

/** A run to ask about, or the link for want of which there is none. */
function sampleOf(
  found: Diagnosed | null,
  postgres: readonly Check[],
): Fact<RunSnapshot | null> | string {
  return failedOf(postgres, HOST_TABLES) ?? found?.sample ?? POSTGRES;
}

const OWN_TABLES = "own tables";
const HOST_TABLES = "host tables";
const NOT_SET = { kind: "unknown", why: "the settings cannot be used" } as const;

function partsOf(config: Config) {
  return { database: config, redis: config, backend: config };
}

function inForceOf(config: Config) {
  return {
    fingerprint: configFingerprint(config),
    observes: config.mode === "observe",
    lease: config.lease,
    deferMs: config.sweep.deferMs,
    intervalMs: shortestIntervalMs(config.schedule.pattern),
    guard: config.guard,
  };
}

function ownWorker(config: Config, version: string): OwnWorker {
  return {
    version,
    fingerprint: configFingerprint(config),
    leaseKind: noteOf({
      leaseKind: config.redis === null ? "postgres" : "redis",
      shards: config.shards,
    }),
    intervalMs: shortestIntervalMs(config.schedule.pattern),
  };
}

const DAY_MS = 86_400_000;
const PAGE_SIZE = 500;

function limitsOf(backend: BackendSettings | null) {
  const { nullDeadlineAfterMs = DAY_MS, pageSize: limit = PAGE_SIZE } = backend?.sweep ?? {};
  return { nullDeadlineAfterMs, limit };
}

const COMMAND_WITHIN_MS = 2000;

async function checkLease(
  part: Pick<Config, "redis" | "lease"> | null,
  facts: Fact<PostgresFacts>,
  broken: string | null,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  if (part === null) return skipped("settings", REDIS);
  const { redis, lease } = part;
  if (redis === null) return [ok("lease", "is kept in Postgres, because REDIS_URL is not set")];
  const fleet = facts.kind === "known" ? facts.value.fleet : facts;
  const installation = (fleet.kind === "known" && fleet.value.state?.installation) || null;
  const options = () => ({
    ...redis.current,
    commandTimeoutMs: COMMAND_WITHIN_MS,
    connectTimeoutMs: COMMAND_WITHIN_MS,
  });
  const found = await untilStopped(diagnoseRedis(options, installation, nowMs), signal);
  return checkRedis(found, lease.renewMs, facts.kind === "unknown" ? POSTGRES : broken);
}

async function checkRemote(
  settings: BackendSettings | null,
  sample: Fact<RunSnapshot | null> | string,
  log: Log,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const reached = settings && (await reachBackend(settings, signal));
  if (settings === null || reached === null) return skipped("settings", BACKEND);
  const { kind, call, answer } = reached;
  const checks = checkBackend(answer, kind, call);
  const look = "run look-up";
  if (checks.some(({ result }) => result === "failure")) {
    return [...checks, ...skipped(BACKEND, look)];
  }
  if (typeof sample === "string") return [...checks, ...skipped(sample, look)];
  if (sample.kind === "unknown") {
    return [...checks, warning(look, `no run to ask about: ${sample.why}`)];
  }
  const run = sample.value;
  const asked = run && { runId: run.id, evidence: await askAbout(settings, run, log, signal) };
  const { backend } = settings;
  const agentHosts = backend.kind === "openhands-cloud" ? backend.agentHosts : [];
  return [...checks, ...checkLookup({ kind, asked, agentHosts })];
}
