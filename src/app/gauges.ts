import type { GaugeName } from "../io/metrics/definitions.ts";
import type { Labels, Sample } from "../io/metrics/metrics.ts";
import type { PoolUse } from "../io/postgres/connection/pool.ts";
import { isInForce } from "../rules/fleet/pause.ts";
import {
  type DependencyStatus,
  health,
  neglectedShards,
  nobodyHasSwept,
  sinceSweepMs,
} from "../rules/health.ts";
import type { Waiting, WaitingState } from "../rules/report.ts";
import type { FleetSight } from "../watchdog/worker/fleet-watch.ts";
import type { WorkerFacts } from "../watchdog/worker/status/worker-facts.ts";
import type { Build } from "./health.ts";

export interface GaugeFacts {
  readonly build: Build;
  readonly facts: WorkerFacts;
  readonly sight: FleetSight | null;
  readonly pool: PoolUse;
}

/** What is so at the moment, from memory. What is not known is left out. */
export function gaugesOf(known: GaugeFacts): readonly Sample[] {
  const { facts, sight } = known;
  return [
    ...workerGauges(known),
    ...(sight === null ? [] : fleetGauges(sight, facts)),
    ...skews(facts),
  ];
}

function workerGauges({ build, facts, pool }: GaugeFacts): readonly Sample[] {
  const { version, node, fingerprint: configuration } = build;
  const ageMs = sinceSweepMs(facts.fleet, facts.nowMs);
  const { api } = facts;
  return [
    gauge("watchdog_build_info", 1, { version, node, configuration }),
    ...oneOf("watchdog_health", "status", ["ok", "degraded", "failing"], health(facts).status),
    ...oneOf("watchdog_role", "role", ["sweeping", "observing", "standby", "idle"], facts.role),
    gauge("watchdog_nobody_sweeps", Number(nobodyHasSwept(facts))),
    ...pauseGauges(facts),
    ...(ageMs === null ? [] : [gauge("watchdog_last_sweep_age_seconds", ageMs / 1000)]),
    ...shardGauges(facts),
    gauge("watchdog_postgres_up", Number(isUp(facts.postgres))),
    gauge("watchdog_schema_usable", Number(!facts.schemaProblem)),
    gauge("watchdog_lease_store_up", Number(isUp(facts.lease))),
    gauge("watchdog_lease_endless", Number(facts.endlessLeaseKey !== null)),
    ...(api === null
      ? []
      : [
          ...oneOf("watchdog_breaker", "state", ["closed", "half-open", "open"], api.breaker),
          gauge("watchdog_api_paused_seconds", api.throttle.pausedForMs / 1000),
        ]),
    gauge("watchdog_pool_connections", pool.inUse, { state: "used" }),
    gauge("watchdog_pool_connections", pool.size - pool.inUse, { state: "free" }),
    gauge("watchdog_pool_connections", pool.leftBehind, { state: "left_behind" }),
    gauge("watchdog_pool_waiting_calls", pool.waiting),
  ];
}

function pauseGauges({ lastPause }: WorkerFacts): readonly Sample[] {
  const untilMs = isInForce(lastPause) ? Date.parse(lastPause.until) : 0;
  return [
    gauge("watchdog_paused", Number(isInForce(lastPause))),
    gauge("watchdog_pause_until_timestamp_seconds", untilMs / 1000),
  ];
}

function shardGauges(facts: WorkerFacts): readonly Sample[] {
  const { shards, nowMs } = facts;
  if (shards === undefined) {
    return [
      gauge("watchdog_shards", 1),
      gauge("watchdog_shards_led", Number(facts.role === "sweeping")),
    ];
  }
  return [
    gauge("watchdog_shards", shards.length),
    gauge("watchdog_shards_led", shards.filter(({ role }) => role === "sweeping").length),
    gauge("watchdog_shards_neglected", neglectedShards(facts).length),
    ...shards.flatMap(({ shard, fleet }) => {
      const ageMs = sinceSweepMs(fleet, nowMs);
      const labels = { shard: String(shard) };
      return ageMs === null
        ? []
        : [gauge("watchdog_shard_last_sweep_age_seconds", ageMs / 1000, labels)];
    }),
  ];
}

function isUp(status: DependencyStatus): boolean {
  return status === "ok";
}

const STATES: readonly WaitingState[] = ["alive", "suspected", "held", "unanswered", "failing"];

/** Old figures are those of the past: what the fleet looks like now is not known then. */
const OLD_AFTER_MS = 60_000;

function fleetGauges(
  { figures, seenAtMs }: FleetSight,
  { nowMs, patienceMs, waiting }: WorkerFacts,
): readonly Sample[] {
  const seconds = (ms: number | null) => (ms ?? 0) / 1000;
  const ageMs = nowMs - seenAtMs;
  const age = gauge("watchdog_fleet_seen_age_seconds", seconds(ageMs));
  if (ageMs > patienceMs + OLD_AFTER_MS) return [age];
  return [
    age,
    ...(waiting === null ? [] : waitingGauges(waiting)),
    gauge("watchdog_epoch", figures.epoch),
    gauge("watchdog_overdue_runs", figures.overdueRuns),
    gauge("watchdog_oldest_overdue_seconds", seconds(figures.oldestOverdueMs)),
    gauge("watchdog_hard_deadline_soon_runs", figures.hardDeadlineSoonRuns),
    gauge("watchdog_silent_runs", figures.silentRuns),
    gauge("watchdog_pending_runs", figures.pendingRuns),
    gauge("watchdog_oldest_pending_seconds", seconds(figures.oldestPendingMs)),
    gauge("watchdog_pending_cleanups", figures.pendingCleanups),
    gauge("watchdog_oldest_cleanup_seconds", seconds(figures.oldestCleanupMs)),
  ];
}

function waitingGauges(waiting: Waiting): readonly Sample[] {
  const states = STATES.map((state) => gauge("watchdog_waiting_runs", waiting[state], { state }));
  return [...states, ...unanswered(waiting)];
}

const MOST_CAUSES = 20;

/** A backend of somebody else's may have any number of causes. */
function unanswered(waiting: Waiting): readonly Sample[] {
  const named = waiting.causes.slice(0, MOST_CAUSES);
  const other = named.reduce((left, { count }) => left - count, waiting.unanswered);
  return [...named, ...(other > 0 ? [{ cause: "other", count: other }] : [])].map(
    ({ cause, count }) => gauge("watchdog_unanswered_runs", count, { cause }),
  );
}

function skews({ clockSkewsMs }: WorkerFacts): readonly Sample[] {
  return Object.entries(clockSkewsMs).flatMap(([peer, ms]) =>
    ms === null ? [] : [gauge("watchdog_clock_skew_seconds", ms / 1000, { peer })],
  );
}

function gauge(name: GaugeName, value: number, labels: Labels = {}): Sample {
  return { name, value, labels };
}

function oneOf<T extends string>(
  name: GaugeName,
  label: string,
  all: readonly T[],
  now: T,
): readonly Sample[] {
  return all.map((each) => gauge(name, Number(each === now), { [label]: each }));
}
