import { describe, expect, it } from "vitest";
import { type GaugeFacts, gaugesOf } from "../../src/app/gauges.ts";
import { NOBODY_WAITS } from "../../src/rules/report.ts";
import type { SharedApi } from "../../src/watchdog/ports.ts";
import type { FleetSight } from "../../src/watchdog/worker/fleet-watch.ts";
import type { WorkerFacts } from "../../src/watchdog/worker/status/worker-facts.ts";
import { NO_FIGURES } from "../support/stands/figures.ts";
import { workerWorld } from "../support/stands/worker-world.ts";

describe("the gauges", () => {
  it("leave out what is not known yet", () => {
    const names = new Set(shown({}).map((line) => line.split(/[{ ]/)[0]));
    expect(names).toContain("watchdog_build_info");
    for (const name of ["waiting_runs", "epoch", "last_sweep_age_seconds", "clock_skew_seconds"]) {
      expect(names).not.toContain(`watchdog_${name}`);
    }
  });

  it("show the runs that wait by state, and the fleet's figures in seconds", () => {
    const waiting = { ...NOBODY_WAITS, held: 7, failing: 1 };
    const figures = {
      ...NO_FIGURES,
      epoch: 12,
      overdueRuns: 9,
      oldestOverdueMs: 90_500,
      pendingRuns: 2,
    };
    const lines = shown({
      facts: { ...facts(), waiting },
      sight: sightOf({ figures }),
    });
    expect(lines).toEqual(
      expect.arrayContaining([
        'watchdog_waiting_runs{state="held"} 7',
        'watchdog_waiting_runs{state="failing"} 1',
        'watchdog_waiting_runs{state="alive"} 0',
        "watchdog_epoch{} 12",
        "watchdog_overdue_runs{} 9",
        "watchdog_oldest_overdue_seconds{} 90.5",
        "watchdog_oldest_pending_seconds{} 0",
        "watchdog_pending_runs{} 2",
      ]),
    );
  });

  it("show at most 20 causes, and the rest as other", () => {
    const causes = Array.from({ length: 25 }, (_, index) => ({
      cause: `cause ${index}`,
      count: 2,
    }));
    const waiting = { ...NOBODY_WAITS, unanswered: 50, causes };
    const lines = shown({ facts: { ...facts(), waiting }, sight: sightOf({}) });
    const unanswered = lines.filter((line) => line.startsWith("watchdog_unanswered_runs"));
    expect(unanswered).toHaveLength(21);
    expect(unanswered[0]).toBe('watchdog_unanswered_runs{cause="cause 0"} 2');
    expect(unanswered[20]).toBe('watchdog_unanswered_runs{cause="other"} 10');
  });

  it("show no other when every run has a cause of those", () => {
    const waiting = { ...NOBODY_WAITS, unanswered: 2, causes: [{ cause: "a cause", count: 2 }] };
    const lines = shown({ facts: { ...facts(), waiting }, sight: sightOf({}) });
    expect(lines.filter((line) => line.includes('"other"'))).toEqual([]);
  });

  it("show the fleet's figures for three ticks and a minute after they were read, then their age alone", () => {
    const seen = sightOf({});
    const { patienceMs } = facts();
    const at = (ageMs: number) =>
      shown({
        sight: seen,
        facts: { ...facts(), waiting: NOBODY_WAITS, nowMs: seen.seenAtMs + ageMs },
      });
    expect(at(patienceMs + 60_000)).toEqual(
      expect.arrayContaining([
        "watchdog_overdue_runs{} 0",
        'watchdog_waiting_runs{state="held"} 0',
      ]),
    );
    const old = at(patienceMs + 60_001);
    expect(old.filter((line) => line.startsWith("watchdog_overdue_runs"))).toEqual([]);
    expect(old.filter((line) => line.startsWith("watchdog_waiting_runs"))).toEqual([]);
    expect(old).toContain(`watchdog_fleet_seen_age_seconds{} ${(patienceMs + 60_001) / 1000}`);
  });

  it("count the time since the last sign of a sweep from when the row was read", () => {
    const nowMs = facts().nowMs + 4000;
    const fleet = { seenAtMs: nowMs - 4000, sinceFinishMs: 90_000, sinceProgressMs: 60_000 };
    const lines = shown({ facts: { ...facts(), nowMs, fleet } });
    expect(lines).toContain("watchdog_last_sweep_age_seconds{} 64");
  });

  it("tell a missing schema from a Postgres that is away, and that nobody sweeps", () => {
    const well = shown({ facts: { ...facts(), postgres: "ok", lease: "ok" } });
    expect(well).toContain("watchdog_postgres_up{} 1");
    expect(well).toContain("watchdog_schema_usable{} 1");
    expect(well).toContain("watchdog_lease_store_up{} 1");
    expect(well).toContain("watchdog_nobody_sweeps{} 0");
    const postgres = { problem: "the worker's tables are missing" };
    const ill = shown({
      facts: {
        ...facts(),
        ...{ postgres, schemaProblem: true, lease: { problem: "away" } },
        ...{ endlessLeaseKey: "a key", nowMs: facts().nowMs + 3_600_000 },
      },
    });
    expect(ill).toContain("watchdog_postgres_up{} 0");
    expect(ill).toContain("watchdog_schema_usable{} 0");
    expect(ill).toContain("watchdog_lease_store_up{} 0");
    expect(ill).toContain("watchdog_lease_endless{} 1");
    expect(ill).toContain("watchdog_nobody_sweeps{} 1");
    expect(ill).toContain('watchdog_health{status="failing"} 1');
  });

  it("show a pause while it is in force, and until when", () => {
    const pause = { until: "2026-08-22T12:00:00Z", reason: "moving the API", by: "ann@host" };
    const PAUSED = "watchdog_paused{}";
    const UNTIL = "watchdog_pause_until_timestamp_seconds{}";
    for (const [lastPause, values] of [
      [{ ...pause, leftMs: 1 }, [1, Date.UTC(2026, 7, 22, 12) / 1000]],
      [{ ...pause, leftMs: 0 }, [0, 0]],
      [null, [0, 0]],
    ] as const) {
      const lines = shown({ facts: { ...facts(), lastPause } });
      expect(lines.filter((line) => line.startsWith(PAUSED))).toEqual([`${PAUSED} ${values[0]}`]);
      expect(lines.filter((line) => line.startsWith(UNTIL))).toEqual([`${UNTIL} ${values[1]}`]);
    }
  });

  it("show how far each clock is off that is known", () => {
    const clockSkewsMs = { postgres: -6500, redis: null, backend: 8000 };
    const lines = shown({ facts: { ...facts(), clockSkewsMs } });
    expect(lines.filter((line) => line.startsWith("watchdog_clock_skew_seconds"))).toEqual([
      'watchdog_clock_skew_seconds{peer="postgres"} -6.5',
      'watchdog_clock_skew_seconds{peer="backend"} 8',
    ]);
    const redis = { ...clockSkewsMs, redis: 7000 };
    expect(shown({ facts: { ...facts(), clockSkewsMs: redis } })).toContain(
      'watchdog_clock_skew_seconds{peer="redis"} 7',
    );
  });

  it("show which role a worker has, an observer's as well", () => {
    for (const role of ["sweeping", "observing", "standby", "idle"] as const) {
      const roles = shown({ facts: { ...facts(), role } }).filter((line) => line.endsWith("} 1"));
      expect(roles).toContain(`watchdog_role{role="${role}"} 1`);
    }
  });

  it("tell of runs that are not divided no more than whether this worker sweeps them", () => {
    for (const [role, led] of [
      ["sweeping", 1],
      ["observing", 0],
      ["standby", 0],
      ["idle", 0],
    ] as const) {
      const lines = shown({ facts: { ...facts(), role } }).filter((line) =>
        line.startsWith("watchdog_shard"),
      );
      expect(lines).toEqual(["watchdog_shards{} 1", `watchdog_shards_led{} ${led}`]);
    }
  });

  it("show how many shards there are, how many are led here, and when each was swept", () => {
    const { nowMs, patienceMs } = facts();
    const lead = { leader: "host-1/1/ab12", role: "idle" } as const;
    const sinceMs = (ms: number) => ({ seenAtMs: nowMs, sinceFinishMs: ms, sinceProgressMs: ms });
    const shards = [
      { ...lead, shard: 0, fleet: sinceMs(patienceMs) },
      { ...lead, shard: 1, fleet: sinceMs(patienceMs + 1) },
      { ...lead, shard: 2, role: "sweeping", fleet: { ...sinceMs(1500), sinceFinishMs: null } },
      { ...lead, shard: 3, role: "standby", fleet: null },
    ] as const;
    const known = { ...facts(), role: "sweeping", shards, fleet: shards[2].fleet } as const;
    const lines = shown({ facts: known }).filter((line) => line.startsWith("watchdog_shard"));
    expect(lines).toEqual([
      "watchdog_shards{} 4",
      "watchdog_shards_led{} 1",
      "watchdog_shards_neglected{} 1",
      `watchdog_shard_last_sweep_age_seconds{shard="0"} ${patienceMs / 1000}`,
      `watchdog_shard_last_sweep_age_seconds{shard="1"} ${(patienceMs + 1) / 1000}`,
      'watchdog_shard_last_sweep_age_seconds{shard="2"} 1.5',
    ]);
    const later = { ...known, nowMs: nowMs + 1000, startedAtMs: nowMs - patienceMs };
    expect(shown({ facts: later })).toEqual(
      expect.arrayContaining([
        // Shard 3 was never swept since the start.
        "watchdog_shards_neglected{} 3",
        'watchdog_shard_last_sweep_age_seconds{shard="2"} 2.5',
        "watchdog_last_sweep_age_seconds{} 2.5",
        "watchdog_nobody_sweeps{} 0",
      ]),
    );
  });

  it("show breaker and pause of an API that is shared, and the pool", () => {
    const api: SharedApi = {
      breaker: "half-open",
      throttle: { pausedForMs: 1500, concurrency: null },
      blockedReason: null,
      restore() {},
    };
    const pool = { size: 8, inUse: 3, waiting: 2, leftBehind: 1 };
    const lines = shown({ facts: { ...facts(), api }, pool });
    expect(lines).toEqual(
      expect.arrayContaining([
        'watchdog_breaker{state="half-open"} 1',
        'watchdog_breaker{state="open"} 0',
        "watchdog_api_paused_seconds{} 1.5",
        'watchdog_pool_connections{state="used"} 3',
        'watchdog_pool_connections{state="free"} 5',
        'watchdog_pool_connections{state="left_behind"} 1',
        "watchdog_pool_waiting_calls{} 2",
      ]),
    );
    const none = shown({ facts: { ...facts(), api: null } });
    expect(none.filter((line) => line.startsWith("watchdog_breaker"))).toEqual([]);
  });
});

function facts(): WorkerFacts {
  return workerWorld().facts();
}

function sightOf(changes: Partial<FleetSight>): FleetSight {
  const { nowMs: seenAtMs } = facts();
  return { seenAtMs, figures: NO_FIGURES, ...changes };
}

/** As in the text format, all labels in braces. */
function shown(changes: Partial<GaugeFacts>): readonly string[] {
  const known: GaugeFacts = {
    build: { version: "1.2.3", node: "v24", fingerprint: "abc" },
    facts: facts(),
    sight: null,
    pool: { size: 8, inUse: 0, waiting: 0, leftBehind: 0 },
    ...changes,
  };
  return gaugesOf(known).map(({ name, value, labels = {} }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${text}"`);
    return `${name}{${pairs.join(",")}} ${value}`;
  });
}
