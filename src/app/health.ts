import { type Config, ConfigError } from "../config/config.ts";
import { withoutAddresses } from "../io/health/addresses.ts";
import { probe } from "../io/health/probe.ts";
import {
  type Answer,
  type HealthServer,
  openHealthServer,
  type TextAnswer,
} from "../io/health/server.ts";
import { isInForce, type Pause } from "../rules/fleet/pause.ts";
import { type DependencyStatus, health, liveness, readiness } from "../rules/health.ts";
import { remedyFor } from "../rules/remedy.ts";
import type { SweepReport, SweepSummary, Waiting, WaitingCause } from "../rules/report.ts";
import type { Log, SharedApi } from "../watchdog/ports.ts";
import type { ShardFacts, WorkerFacts } from "../watchdog/worker/status/worker-facts.ts";

const PROBE_WITHIN_MS = 4000;

export type HealthPath = "/livez" | "/readyz" | "/health";

/** `status` is an HTTP status, `body` is to be sent as JSON. */
export type HealthAnswer = Answer;

export interface Build {
  readonly version: string;
  readonly node: string;
  /** Of the configuration, to compare replicas. */
  readonly fingerprint: string;
}

export interface StatusPage {
  readonly html: string;
  /** The value of the header. */
  readonly contentSecurityPolicy: string;
}

/** Text, as its content type says. */
export interface MetricsPage {
  readonly contentType: string;
  page(): Promise<string>;
}

/**
 * The health endpoint, or `null` when it is off.
 *
 * @param page what is shown at `/`, from facts without addresses.
 * @throws ConfigError when it cannot listen: a worker that nobody can ask would look dead, or like the one that can.
 */
export async function openHealth(
  config: Config,
  build: Build,
  workerFacts: () => WorkerFacts,
  page: (facts: WorkerFacts) => StatusPage,
  metrics: MetricsPage,
  log: Log,
): Promise<HealthServer | null> {
  const { host, port } = config.health;
  if (port === null) return null;
  try {
    const routes = {
      "/": () => pageAnswer(page(forAnybody(workerFacts(), config))),
      ...healthAnswers(config, build, workerFacts),
      "/metrics": () => metricsAnswer(metrics),
    };
    const server = await openHealthServer({ host, port, routes });
    log.info({ url: server.url }, "health endpoint is up");
    return server;
  } catch (error) {
    throw new ConfigError([cannotListen(host, port, error)], { cause: error });
  }
}

/** 200 whatever the status: people shall see the page, and not what stands between makes of a 503. */
function pageAnswer({ html, contentSecurityPolicy }: StatusPage): TextAnswer {
  return {
    status: 200,
    text: html,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": contentSecurityPolicy,
      "referrer-policy": "no-referrer",
    },
  };
}

async function metricsAnswer({ contentType, page }: MetricsPage): Promise<TextAnswer> {
  return { status: 200, text: await page(), headers: { "content-type": contentType } };
}

function cannotListen(host: string, port: number, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why = code || String(error);
  return `WATCHDOG_HEALTH_HOST and WATCHDOG_HEALTH_PORT must be an address that is free here, listening on ${addressOf(host, port)} failed: ${why} (${REMEDIES.get(code) ?? "choose another one"}; WATCHDOG_HEALTH_PORT=off does without)`;
}

function addressOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

const REMEDIES: ReadonlyMap<string, string> = new Map([
  ["EADDRINUSE", "stop the program that listens there, or choose another port"],
  ["EACCES", "this user may not use that port, choose one from 1024 on"],
  ["EADDRNOTAVAIL", "the host must be an address of this machine"],
  ["ENOTFOUND", "the host must be a name or address of this machine"],
  ["EAI_AGAIN", "the host's name cannot be resolved, choose an address"],
]);

/** What a worker on this machine says on /livez, or why it says nothing. */
export async function askLiveness(
  host: string,
  port: number,
): Promise<{ readonly alive: boolean; readonly answer: string }> {
  try {
    const { status, body } = await probe(host, port, "/livez", PROBE_WITHIN_MS);
    return { alive: status === 200, answer: body };
  } catch (error) {
    return {
      alive: false,
      answer: `no answer from ${addressOf(host, port)}: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** What is said at each path, from memory. */
export function healthAnswers(
  config: Config,
  build: Build,
  workerFacts: () => WorkerFacts,
): Readonly<Record<HealthPath, () => HealthAnswer>> {
  const facts = () => forAnybody(workerFacts(), config);
  return {
    "/livez": () => livezAnswer(facts()),
    "/readyz": () => readyzAnswer(facts()),
    "/health": () => healthAnswer(facts(), build),
  };
}

/** Who may ask for health need not know where the stores are. */
function forAnybody(facts: WorkerFacts, { database, redis }: Config): WorkerFacts {
  const { host, path } = database.endpoint.current;
  const known = [host, path, redis?.current.host].filter((part) => part != null);
  const shown = (status: DependencyStatus): DependencyStatus =>
    typeof status === "string" ? status : { problem: withoutAddresses(status.problem, known) };
  const said = (text: string | null) => text && withoutAddresses(text, known);
  const { ownLastSweep } = facts;
  return {
    ...facts,
    postgres: shown(facts.postgres),
    lease: shown(facts.lease),
    lastFailure: said(facts.lastFailure),
    attemptFailure: said(facts.attemptFailure),
    ownLastSweep: ownLastSweep && { ...ownLastSweep, message: said(ownLastSweep.message) },
  };
}

export interface LivezDocument {
  readonly status: "ok" | "failing";
  readonly reasons: readonly string[];
}

function livezAnswer(facts: WorkerFacts): Answer {
  const { alive, reasons } = liveness(facts);
  const body: LivezDocument = { status: alive ? "ok" : "failing", reasons };
  return { status: alive ? 200 : 503, body };
}

export interface ReadyzDocument {
  readonly status: "ok" | "not ready";
  readonly reasons: readonly string[];
}

function readyzAnswer(facts: WorkerFacts): Answer {
  const { ready, reasons } = readiness(facts);
  const body: ReadyzDocument = { status: ready ? "ok" : "not ready", reasons };
  return { status: ready ? 200 : 503, body };
}

function healthAnswer(facts: WorkerFacts, build: Build): Answer {
  const body = healthDocument(facts, build);
  return { status: body.status === "failing" ? 503 : 200, body };
}

export type HealthDocument = ReturnType<typeof healthDocument>;

/** In its order of keys. */
function healthDocument(facts: WorkerFacts, build: Build) {
  const { status, reasons } = health(facts);
  const { leadership, backlog } = facts;
  const mode: "observe" | "live" = facts.observes ? "observe" : "live";
  return {
    status,
    reasons,
    mode,
    paused: pauseAnswer(facts.lastPause),
    role: facts.role,
    holder: facts.holder,
    lease: leaseAnswer(facts),
    sweep: {
      nextAt: facts.nextSweepAt.toISOString(),
      own: facts.ownLastSweep && withoutRuns(facts.ownLastSweep),
      fleet: leadership && {
        epoch: leadership.epoch,
        holder: leadership.holder,
        startedAt: inUtc(leadership.sweepStartedAt),
        finishedAt: inUtc(leadership.sweepFinishedAt),
      },
    },
    ...shardsAnswer(facts),
    // As of our own last sweep; the time says how old that is.
    backlog: {
      countedAt: backlog?.countedAt.toISOString() ?? null,
      stale: backlog?.count ?? null,
      deferred: backlog?.deferred ?? null,
      held: backlog?.held ?? null,
      failing: backlog?.failing ?? null,
      oldestOverdueSeconds: backlog && Math.round((backlog.oldestOverdueMs ?? 0) / 1000),
      cleanups: facts.ownLastSweep?.cleanups.pending ?? null,
    },
    waiting: facts.waiting && waitingAnswer(facts.waiting),
    guard: { heldFor: facts.heldFor },
    api: facts.api && apiAnswer(facts.api),
    configuration: build.fingerprint,
    build: { version: build.version, node: build.node },
  };
}

/** Postgres has microseconds and writes the session's zone; all other times here have neither. */
function inUtc(at: string | null): string | null {
  return at && new Date(at).toISOString();
}

function leaseAnswer({ leaseKind, leaseHolder, leaseExpiresAt, leaseHeldForMs }: WorkerFacts) {
  return {
    kind: leaseKind,
    holder: leaseHolder,
    expiresAt: leaseExpiresAt?.toISOString() ?? null,
    heldForSeconds: leaseHeldForMs === null ? null : Math.round(leaseHeldForMs / 1000),
  };
}

/** Nothing where the runs are not divided. */
function shardsAnswer({ shards, nowMs }: WorkerFacts): {
  readonly shards?: readonly ShardAnswer[];
} {
  return shards ? { shards: shards.map((shard) => shardAnswer(shard, nowMs)) } : {};
}

interface ShardAnswer {
  readonly shard: number;
  readonly role: ShardFacts["role"];
  readonly leader: string | null;
  readonly finishedSecondsAgo: number | null;
  readonly progressedSecondsAgo: number | null;
}

function shardAnswer({ shard, role, leader, fleet }: ShardFacts, nowMs: number): ShardAnswer {
  const ago = (sinceMs: number | null | undefined) =>
    fleet === null || sinceMs == null
      ? null
      : Math.round((sinceMs + nowMs - fleet.seenAtMs) / 1000);
  return {
    shard,
    role,
    leader,
    finishedSecondsAgo: ago(fleet?.sinceFinishMs),
    progressedSecondsAgo: ago(fleet?.sinceProgressMs),
  };
}

function pauseAnswer(pause: Pause | null) {
  if (!isInForce(pause)) return null;
  const { until, by, reason } = pause;
  return { until, by, reason };
}

function waitingAnswer({ causes, failures, ...counts }: Waiting) {
  const withRemedy = ({ cause, count }: WaitingCause) => ({
    cause,
    count,
    remedy: remedyFor(cause),
  });
  return { ...counts, causes: causes.map(withRemedy), failures: failures.map(withRemedy) };
}

function apiAnswer({ breaker, blockedReason, throttle }: SharedApi) {
  const { pausedForMs, concurrency } = throttle;
  return {
    breaker,
    refusal: blockedReason,
    pausedForSeconds: Math.ceil(pausedForMs / 1000),
    concurrency,
  };
}

function withoutRuns({ runs: _, runsOmitted: __, ...summary }: SweepReport): SweepSummary {
  return summary;
}
