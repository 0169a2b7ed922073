/** What the process tells about itself. Pure: from facts in memory to answers. Times are monotonic milliseconds. */
import { whatIsWrong } from "./cause.ts";
import { type ClockSkews, clockProblems } from "./clock-skew.ts";
import { isInForce, type Pause, pauseReason } from "./fleet/pause.ts";
import { ONE_DIVISION, ONE_LEASE_KIND } from "./fleet/shard.ts";
import { LET_IT_LOOK_SELDOM } from "./remedy.ts";
import type { Waiting } from "./report.ts";

export type DependencyStatus = "unknown" | "ok" | { readonly problem: string };

export interface FleetFacts {
  /** When the leadership row was read. */
  readonly seenAtMs: number;
  /** Ages at that moment, by the database's clock; `null` for never. */
  readonly sinceFinishMs: number | null;
  readonly sinceProgressMs: number | null;
}

export interface ShardHealth {
  readonly shard: number;
  /** Of its own row; `null` before it was read. */
  readonly fleet: FleetFacts | null;
}

export interface HealthFacts {
  readonly nowMs: number;
  readonly startedAtMs: number;
  readonly postgres: DependencyStatus;
  readonly lease: DependencyStatus;
  /** How long ago the tick was that is `MISSED_TICKS` back. */
  readonly patienceMs: number;
  /** When the scheduler has to fire next. */
  readonly nextTickAtMs: number;
  /** The last sign of life of the running sweep; `null` when none runs. */
  readonly progressAtMs: number | null;
  readonly verifyTimeoutMs: number;
  /** Of the shard that was swept last, where there are several. */
  readonly fleet: FleetFacts | null;
  /** Left out where the runs are not divided. */
  readonly shards?: readonly ShardHealth[];
  /** The last one as of now, also when it is over; `null` when there never was one. */
  readonly lastPause: Pause | null;
  /** Nothing is written: this worker only shows what it would do. */
  readonly observes: boolean;
  /** The leadership row names workers with this other kind of lease. */
  readonly otherLeaseKind: string | null;
  /** Other workers divide the runs into so many; left out where they do as this one. */
  readonly otherShards?: number;
  /** The key of a lease that has no expiry and will never become free; `null` when there is none. */
  readonly endlessLeaseKey: string | null;
  /** How the fleet's last sweep ended, a `SweepStatus`; `null` when there was none. */
  readonly lastSweep: string | null;
  /** Why the guard held verdicts back in that sweep; `null` when it did not. */
  readonly heldFor: string | null;
  /** Why the shared API is not asked now; `null` when it is. */
  readonly apiRefusal: string | null;
  /** Runs that wait for their next look, as the database shows them to every replica; `null` before the first read. */
  readonly waiting: Waiting | null;
  /** What ended the last sweep, if it was our own and failed. */
  readonly lastFailure: string | null;
  /** As they were read last, within the last hour. */
  readonly clockSkewsMs: ClockSkews;
  /** Why our last attempt to sweep did not get as far as that; `null` when it did, or there was none. */
  readonly attemptFailure: string | null;
  /** Runs that were suspected or held here and that another watchdog has ended since; 0 when there was none lately. */
  readonly endedElsewhere: number;
}

export interface Liveness {
  readonly alive: boolean;
  readonly reasons: readonly string[];
}

/** How late the scheduler may be before a restart is worth it. */
const TICK_GRACE_MS = 60_000;
/** After so many ticks without a sweep somebody has to look. */
export const MISSED_TICKS = 3;
export const NOBODY_SWEEPS = nobodySweeps("");

/** @param which of several shards; empty for all of them. */
export function shardsNeglected(which: readonly number[]): readonly string[] {
  return which.length === 0 ? [] : [nobodySweeps(` shard ${which.join(", ")}`)];
}

function nobodySweeps(what: string): string {
  return `nobody has swept${what} for ${MISSED_TICKS} scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says`;
}

const RESTART = "restart this worker";

/** False only when a restart would help: a long sweep is legal, and so is a database that is away. */
export function liveness(facts: HealthFacts): Liveness {
  const reasons: string[] = [];
  if (facts.nowMs - facts.nextTickAtMs > TICK_GRACE_MS) {
    reasons.push(`the scheduler did not fire when it was due: ${RESTART}`);
  }
  const patienceMs = 3 * facts.verifyTimeoutMs + 30_000;
  if (facts.progressAtMs !== null && facts.nowMs - facts.progressAtMs > patienceMs) {
    reasons.push(`the running sweep has made no progress for ${seconds(patienceMs)}: ${RESTART}`);
  }
  return { alive: reasons.length === 0, reasons };
}

export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}

/** True when Postgres, its schema and the lease store answered at the last try. A standby is ready. */
export function readiness(facts: HealthFacts): Readiness {
  const reasons = [
    ...dependencyProblems("postgres", facts.postgres),
    ...dependencyProblems("lease", facts.lease),
  ];
  return { ready: reasons.length === 0, reasons };
}

export interface Health {
  readonly status: "ok" | "degraded" | "failing";
  readonly reasons: readonly string[];
}

export function health(facts: HealthFacts): Health {
  const failing = [...liveness(facts).reasons];
  if (nobodyHasSwept(facts)) {
    failing.push(NOBODY_SWEEPS);
  }
  if (facts.endlessLeaseKey !== null) {
    failing.push(
      `the key ${facts.endlessLeaseKey} has no expiry and blocks every worker: delete it`,
    );
  }
  const { ready, reasons } = readiness(facts);
  const degraded = [...reasons];
  // A store may answer questions and refuse what a sweep needs.
  if (ready && facts.attemptFailure !== null) {
    degraded.push(`the last attempt to sweep failed: ${facts.attemptFailure}`);
  }
  if (isInForce(facts.lastPause)) degraded.push(pauseReason(facts.lastPause));
  if (facts.observes) {
    degraded.push("observing: nothing is written, because WATCHDOG_MODE is observe");
  }
  if (facts.otherLeaseKind !== null) {
    degraded.push(`other workers use the ${facts.otherLeaseKind} lease: ${ONE_LEASE_KIND}`);
  }
  if (facts.otherShards !== undefined) {
    degraded.push(`other workers divide the runs into ${facts.otherShards}: ${ONE_DIVISION}`);
  }
  // Others are swept, so it is not the whole fleet that stands still.
  if (!nobodyHasSwept(facts)) degraded.push(...shardsNeglected(neglectedShards(facts)));
  degraded.push(...sweepProblems(facts));
  if (facts.apiRefusal !== null) degraded.push(`the backend is not asked: ${facts.apiRefusal}`);
  degraded.push(...clockProblems(facts.clockSkewsMs));
  if (facts.endedElsewhere > 0) {
    degraded.push(
      `another watchdog ends runs: ${facts.endedElsewhere} that were suspected or held here, in the last hour, ${LET_IT_LOOK_SELDOM}`,
    );
  }
  const status = failing.length > 0 ? "failing" : degraded.length > 0 ? "degraded" : "ok";
  return { status, reasons: [...failing, ...degraded] };
}

/**
 * Neither finish nor progress, as far as the fleet's row told. Where there never was any, or the row could not be read
 * yet, the start of the process counts; a restart alone must not make an outage look mended. While it was paused nobody
 * was to sweep.
 */
export function nobodyHasSwept(facts: HealthFacts): boolean {
  const { nowMs, startedAtMs, fleet, lastPause } = facts;
  const agoMs = sinceSweepMs(fleet, nowMs);
  const lastAtMs = agoMs === null ? startedAtMs : nowMs - agoMs;
  const pausedUntilMs = lastPause === null ? lastAtMs : nowMs + lastPause.leftMs;
  return nowMs - Math.max(lastAtMs, pausedUntilMs) > facts.patienceMs;
}

/** Shards that nobody has swept; all of them where nobody sweeps at all. None where the runs are not divided. */
export function neglectedShards(facts: HealthFacts): readonly number[] {
  const { shards = [] } = facts;
  return shards
    .filter(({ fleet }) => nobodyHasSwept({ ...facts, fleet }))
    .map(({ shard }) => shard);
}

/** How long ago somebody finished a sweep or moved on in one; `null` where that is not known. */
export function sinceSweepMs(fleet: FleetFacts | null, nowMs: number): number | null {
  const agesMs = [fleet?.sinceFinishMs, fleet?.sinceProgressMs].filter((age) => age != null);
  if (fleet === null || agesMs.length === 0) return null;
  return Math.min(...agesMs) + nowMs - fleet.seenAtMs;
}

/** The runs themselves, until they are judged; before they were counted, what the last sweep came to. */
function sweepProblems({
  lastSweep,
  lastFailure,
  heldFor,
  waiting,
}: HealthFacts): readonly string[] {
  const failed =
    lastSweep === "error" ? [`the last sweep failed: ${lastFailure ?? "unexpectedly"}`] : [];
  // How many are held, and what to do about it, is said of those that wait.
  const unsaid = waiting === null ? "the guard did not let verdicts through" : null;
  const isHolding = waiting === null ? lastSweep === "held" : waiting.held > 0;
  const holds = isHolding ? (heldFor ?? unsaid) : null;
  const holding = holds === null ? [] : [`holding: ${holds}`];
  if (waiting !== null) return [...failed, ...holding, ...whatIsWrong(waiting)];
  if (lastSweep !== "partial") return [...failed, ...holding];
  return ["the last sweep could not handle some runs, or the backend gave no usable answer"];
}

function dependencyProblems(name: string, status: DependencyStatus): readonly string[] {
  if (status === "ok") return [];
  if (status === "unknown") return [`${name} has not answered yet`];
  return [`${name}: ${status.problem}`];
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
