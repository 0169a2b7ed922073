/** What a process may know, as the page gets it: one per state in which people see it. */
import type { PageBuild, PageFacts } from "../../../src/report/page/model.ts";
import {
  NOBODY_WAITS,
  type SweepCounts,
  type SweepStatus,
  type SweepSummary,
} from "../../../src/rules/report.ts";
import { anOutcome, aReport, NO_COUNTS } from "../a-report.ts";

export const BUILD: PageBuild = { version: "1.2.3", node: "v24.0.0", fingerprint: "0123456789ab" };

const AT = new Date("2026-01-01T14:02:30.000Z");
const HOLDER = "watchdog-6f9c7d-x2x8v/1/ab12";
const LEADER = "watchdog-6f9c7d-p4k9q/1/cd34";

/** A process that has just begun. */
export const NOTHING_YET: PageFacts = {
  nowMs: 2000,
  startedAtMs: 0,
  postgres: "unknown",
  lease: "unknown",
  patienceMs: 180_000,
  nextTickAtMs: 30_000,
  progressAtMs: null,
  verifyTimeoutMs: 30_000,
  fleet: null,
  otherLeaseKind: null,
  endlessLeaseKey: null,
  lastSweep: null,
  heldFor: null,
  apiRefusal: null,
  clockSkewsMs: { postgres: null, redis: null, backend: null },
  lastFailure: null,
  attemptFailure: null,
  endedElsewhere: 0,
  at: AT,
  role: "idle",
  holder: HOLDER,
  leaseKind: "redis",
  leaseHolder: null,
  leaseExpiresAt: null,
  leaseHeldForMs: null,
  nextSweepAt: inMs(30_000),
  lastPause: null,
  observes: false,
  replicas: null,
  leadership: null,
  waiting: null,
  recentSweeps: [],
  recentVerdicts: [],
  lastHold: null,
  api: {
    breaker: "closed",
    blockedReason: null,
    throttle: { pausedForMs: 0, concurrency: null },
  },
};

/** The leader of a quiet fleet, after an hour and more. */
export const OK: PageFacts = {
  ...NOTHING_YET,
  nowMs: 9_000_000,
  nextTickAtMs: 9_030_000,
  postgres: "ok",
  lease: "ok",
  fleet: { seenAtMs: 8_990_000, sinceFinishMs: 0, sinceProgressMs: 0 },
  lastSweep: "ok",
  leadership: {
    epoch: 1207,
    holder: HOLDER,
    sweepStartedAt: "2026-01-01T14:02:00.000000+00:00",
    sweepFinishedAt: "2026-01-01T14:02:00.412000+00:00",
    lastStatus: "ok",
  },
  waiting: {
    ...NOBODY_WAITS,
    alive: 7,
    suspected: 1,
    nextLookAt: inMs(12_000).toISOString(),
  },
  recentSweeps: anHour((minute) => ({
    completed: minute % 7 === 0 ? 4 : minute % 3,
    failed: minute % 5 === 0 ? 3 : 0,
    deferred: 5 + (minute % 4),
    suspected: minute % 2,
  })),
  recentVerdicts: [
    verdict(1, "completed", "proof", "exit_code=0"),
    verdict(1, "failed", "proof", "exit_code=137"),
    verdict(3, "failed", "presumption", "sandbox missing"),
    verdict(4, "failed", "presumption", "agent server restarted"),
    verdict(1500, "failed", "proof", "exit_code=-1"),
  ],
};

/** The service key was changed: nobody gets an answer. */
export const DEGRADED: PageFacts = {
  ...OK,
  lastSweep: "partial",
  apiRefusal: "circuit breaker open",
  waiting: {
    ...NOBODY_WAITS,
    alive: 2,
    unanswered: 23,
    failing: 1,
    nextLookAt: inMs(4000).toISOString(),
    causes: [
      { cause: "service_api mint_api_key: HTTP 401", count: 20 },
      { cause: "agent_server bash_events_search: timeout", count: 3 },
    ],
    failures: [{ cause: 'the row was rejected: check constraint "runs_end"', count: 1 }],
  },
  recentSweeps: anHour((minute) =>
    minute < 45
      ? { completed: 1, deferred: 6 }
      : { undetermined: 20, skipped: minute - 40, errors: 1 },
  ),
  api: {
    breaker: "open",
    blockedReason: "circuit breaker open",
    throttle: { pausedForMs: 34_000, concurrency: 2 },
  },
};

/** Everything looks dead at once. */
export const HELD: PageFacts = {
  ...OK,
  lastSweep: "held",
  heldFor: "a mass: 73 presumptions, 12 runs answered",
  waiting: { ...NOBODY_WAITS, alive: 12, held: 73, nextLookAt: inMs(40_000).toISOString() },
  lastHold: {
    at: "2026-01-01T14:02:00.412Z",
    reason: "a mass: 73 presumptions, 12 runs answered",
    runIds: [runId(71), runId(72), runId(73), runId(74), runId(75)],
  },
  recentSweeps: anHour((minute) =>
    minute < 57 ? { completed: 2, deferred: 12 } : { deferred: 12, held: 73 },
  ),
};

/** Postgres went away, and the scheduler's last sweep is long ago. */
export const FAILING: PageFacts = {
  ...OK,
  postgres: { problem: "reading the leadership row failed: connect ECONNREFUSED <address>" },
  fleet: { seenAtMs: 8_000_000, sinceFinishMs: 60_000, sinceProgressMs: 60_000 },
  lastSweep: "error",
  lastFailure: "Postgres cannot be reached",
  leaseHolder: null,
};

export const STANDBY: PageFacts = {
  ...OK,
  role: "standby",
  leaseHolder: LEADER,
  leaseExpiresAt: inMs(11_000),
  leaseHeldForMs: 30_000,
  leadership: {
    epoch: 1207,
    holder: LEADER,
    sweepStartedAt: "2026-01-01T14:02:00.000000+00:00",
    sweepFinishedAt: null,
    lastStatus: "ok",
  },
  recentSweeps: [],
  recentVerdicts: [],
};

/** After the first sweep ever, which found nothing. */
export const FIRST_SWEEP: PageFacts = {
  ...OK,
  waiting: NOBODY_WAITS,
  recentSweeps: [aReport({ startedAt: "2026-01-01T14:02:00.000Z" })],
  recentVerdicts: [],
};

/** Somebody works on the backend. */
export const PAUSED: PageFacts = {
  ...OK,
  lastPause: {
    until: inMs(5_400_000).toISOString(),
    reason: "backend upgrade, ticket 4711",
    by: "alice@ops-1",
    leftMs: 5_400_000,
  },
};

/** One of two workers that divide the runs, in the middle of its share. */
export const DIVIDED: PageFacts = {
  ...OK,
  role: "sweeping",
  leaseHolder: HOLDER,
  leaseExpiresAt: inMs(11_000),
  leaseHeldForMs: 30_000,
  replicas: [
    { ...aReplica(HOLDER), seenAgoMs: 400 },
    { ...aReplica(LEADER), seenAgoMs: 12_000 },
  ],
  shards: [
    { shard: 0, role: "sweeping", leader: HOLDER, fleet: shardSeen(90_000, 0) },
    { shard: 1, role: "standby", leader: LEADER, fleet: shardSeen(null, 2000) },
    { shard: 2, role: "idle", leader: LEADER, fleet: shardSeen(20_000, 20_000) },
    { shard: 3, role: "idle", leader: null, fleet: null },
  ],
};

/** A worker that shows what it would do, beside two others, one of them with other settings. */
export const OBSERVING: PageFacts = {
  ...OK,
  observes: true,
  role: "observing",
  leaseHolder: HOLDER,
  leaseExpiresAt: inMs(13_000),
  replicas: [
    { ...aReplica(HOLDER), seenAgoMs: 400 },
    { ...aReplica(LEADER), fingerprint: "ba9876543210", seenAgoMs: 12_000 },
    { ...aReplica("watchdog-6f9c7d-z7z7z/1/ef56"), version: "1.2.2", seenAgoMs: 300_000 },
  ],
};

export const STATES: Readonly<Record<string, PageFacts>> = {
  "nothing yet": NOTHING_YET,
  ok: OK,
  degraded: DEGRADED,
  held: HELD,
  failing: FAILING,
  standby: STANDBY,
  "first sweep": FIRST_SWEEP,
  paused: PAUSED,
  observing: OBSERVING,
  divided: DIVIDED,
};

function aReplica(holder: string) {
  const { version, fingerprint } = BUILD;
  return { holder, version, fingerprint, upMs: 9_000_000 };
}

function shardSeen(sinceFinishMs: number | null, sinceProgressMs: number) {
  return { seenAtMs: OK.nowMs - 10_000, sinceFinishMs, sinceProgressMs };
}

function inMs(ms: number): Date {
  return new Date(AT.getTime() + ms);
}

export function runId(number: number): string {
  return `6b1f0c2e-94d7-4a51-8f3e-${String(number).padStart(12, "0")}`;
}

function verdict(
  minutesAgo: number,
  action: "completed" | "failed",
  basis: "proof" | "presumption",
  reason: string,
): PageFacts["recentVerdicts"][number] {
  const outcome = anOutcome(runId(minutesAgo), { action, basis, reason });
  return { decidedAt: inMs(-minutesAgo * 60_000), outcome };
}

function anHour(counts: (minute: number) => Partial<SweepCounts>): readonly SweepSummary[] {
  return Array.from({ length: 60 }, (_, minute) =>
    aReport({
      status: statusOf(counts(minute)),
      startedAt: inMs((minute - 59) * 60_000 - 30_000).toISOString(),
      durationMs: 300 + ((minute * 37) % 11) * 90,
      counts: { ...NO_COUNTS, ...counts(minute) },
      cleanups: { done: minute % 3, pending: 4, abandoned: 0 },
    }),
  );
}

function statusOf({ held = 0, errors = 0, skipped = 0 }: Partial<SweepCounts>): SweepStatus {
  if (held > 0) return "held";
  return errors + skipped > 0 ? "partial" : "ok";
}
