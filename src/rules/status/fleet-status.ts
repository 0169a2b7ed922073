/** What the database alone tells about all workers, and whether somebody has to act. Pure. */
import { whatIsWrong } from "../cause.ts";
import { clockProblem } from "../clock-skew.ts";
import { isInForce, type Pause, pauseReason } from "../fleet/pause.ts";
import { ONE_DIVISION, ONE_LEASE_KIND } from "../fleet/shard.ts";
import { NOBODY_SWEEPS, shardsNeglected } from "../health.ts";
import type { Waiting } from "../report.ts";

/** Times are milliseconds by the database's clock; `null` for never. */
export interface FleetView {
  /** ISO 8601. */
  readonly readAt: string;
  /** How far the clock of Postgres is ahead of this machine's for sure. */
  readonly clockSkewMs: number;
  readonly epoch: number;
  /** Who began the newest sweep. */
  readonly leader: string | null;
  readonly leaseKind: string | null;
  readonly sinceProgressMs: number | null;
  readonly lastPause: Pause | null;
  readonly lastSweep: LastSweep;
  /** In their order; left out where the runs are not divided. */
  readonly shards?: readonly ShardLead[];
  readonly waiting: Waiting;
  /** The oldest come first; not all of them where there are many. */
  readonly held: readonly HeldRun[];
  readonly cleanups: PendingCleanups;
  /** Those that were seen last come first. */
  readonly workers: readonly ListedWorker[];
}

export interface ShardLead {
  readonly shard: number;
  /** Who began its newest sweep; `null` when that worker has stopped. */
  readonly holder: string | null;
  /** `null` as well while a sweep is under way. */
  readonly sinceFinishMs: number | null;
  readonly sinceProgressMs: number | null;
}

/** The last full sweep that reached its end, and the one under way. */
export interface LastSweep {
  readonly sinceStartMs: number | null;
  readonly sinceFinishMs: number | null;
  /** A `SweepStatus`. */
  readonly status: string | null;
  /** As in a report; what a later version counts has its own name. */
  readonly counts: Readonly<Record<string, number>> | null;
}

export interface HeldRun {
  readonly runId: string;
  readonly heldMs: number;
  readonly reason: string | null;
}

export interface PendingCleanups {
  readonly pending: number;
  /** How long the oldest is overdue; `null` when none is. */
  readonly overdueMs: number | null;
}

export interface ListedWorker {
  readonly holder: string;
  readonly version: string;
  readonly fingerprint: string;
  readonly leaseKind: string;
  readonly shards?: number;
  readonly upMs: number;
  readonly seenAgoMs: number;
}

export interface FleetStatus {
  readonly status: "ok" | "degraded" | "failing";
  readonly exitCode: 0 | 3 | 4;
  /** What somebody has to know, the worst first. */
  readonly reasons: readonly string[];
}

/** @param patienceMs how long ago the tick was after which somebody has to look. */
export function fleetStatus(view: FleetView, patienceMs: number): FleetStatus {
  const { shards = [{ shard: 0, sinceProgressMs: view.sinceProgressMs, ...view.lastSweep }] } =
    view;
  const neglected = shards.filter((lead) => nobodyHasSwept(lead, view.lastPause, patienceMs));
  const isFailing = neglected.length === shards.length;
  const failing = isFailing ? [NOBODY_SWEEPS] : [];
  const { held } = view.waiting;
  const wanting = [
    ...(isInForce(view.lastPause) ? [pauseReason(view.lastPause)] : []),
    ...(isFailing ? [] : shardsNeglected(neglected.map(({ shard }) => shard))),
    ...whatIsWrong(view.waiting),
  ];
  const clock = clockProblem("Postgres", view.clockSkewMs, "this machine's");
  const warnings = [...differences(view), ...(clock === null ? [] : [clock])];
  const reasons = [...failing, ...wanting, ...warnings];
  const status = failing.length > 0 ? "failing" : reasons.length > 0 ? "degraded" : "ok";
  const exitCode = held > 0 ? 4 : failing.length + wanting.length > 0 ? 3 : 0;
  return { status, exitCode, reasons };
}

/** What is listed at the same time as the newest: a worker that was killed stays listed for a day. */
export function isCurrent({ seenAgoMs }: ListedWorker, workers: readonly ListedWorker[]): boolean {
  return seenAgoMs - Math.min(...workers.map((worker) => worker.seenAgoMs)) <= SEEN_TOGETHER_MS;
}

/** Ticks come at the same times everywhere, and clocks differ. */
const SEEN_TOGETHER_MS = 5 * 60_000;

function nobodyHasSwept(
  { sinceProgressMs, sinceFinishMs }: Pick<ShardLead, "sinceProgressMs" | "sinceFinishMs">,
  lastPause: Pause | null,
  patienceMs: number,
): boolean {
  // While it is paused nobody is to sweep, and the first tick after that comes a little later.
  const sincePauseMs = lastPause === null ? null : -lastPause.leftMs;
  const ages = [sinceProgressMs, sinceFinishMs, sincePauseMs].filter((ms) => ms !== null);
  return Math.min(...ages) > patienceMs;
}

const COMPARE_CONFIG = "compare what run-watchdog config says beside each";

/** One fleet has one configuration; during a rolling change it has two for a while. */
function differences({ workers, leaseKind }: FleetView): readonly string[] {
  const current = workers.filter((worker) => isCurrent(worker, workers));
  const named = (key: "fingerprint" | "version" | "leaseKind" | "shards") =>
    [...new Set(current.map((worker) => worker[key] ?? 1))].toSorted();
  const said: string[] = [];
  if (named("fingerprint").length > 1) {
    const prints = named("fingerprint").join(", ");
    said.push(`workers are configured differently: ${prints}; ${COMPARE_CONFIG}`);
  }
  if (named("version").length > 1) {
    said.push(`workers have different versions: ${named("version").join(", ")}`);
  }
  // Whoever swept last may not be listed.
  const kinds = new Set([...named("leaseKind"), ...(leaseKind === null ? [] : [leaseKind])]);
  if (current.length > 0 && kinds.size > 1) {
    said.push(`workers use different leases: ${ONE_LEASE_KIND}`);
  }
  if (named("shards").length > 1) {
    const counts = named("shards").join(", ");
    said.push(`workers divide the runs differently: ${counts}; ${ONE_DIVISION}`);
  }
  return said;
}
