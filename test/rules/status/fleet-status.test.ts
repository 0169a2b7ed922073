import { describe, expect, it } from "vitest";
import { NOBODY_SWEEPS } from "../../../src/rules/health.ts";
import { NOBODY_WAITS, type Waiting } from "../../../src/rules/report.ts";
import {
  type FleetView,
  fleetStatus,
  isCurrent,
  type ListedWorker,
} from "../../../src/rules/status/fleet-status.ts";
import { aWorker, fleetView } from "../../report/a-fleet-view.ts";

const PATIENCE_MS = 180_000;
const PAUSE = { until: "2026-01-01T02:00:00Z", reason: "moving the API", by: "ann@host" };

function statusOf(changes: Partial<FleetView>) {
  return fleetStatus(fleetView(changes), PATIENCE_MS);
}

function waiting(changes: Partial<Waiting>) {
  return statusOf({ waiting: { ...NOBODY_WAITS, ...changes } });
}

function swept(sinceFinishMs: number | null, sinceProgressMs: number | null, leftMs?: number) {
  return statusOf({
    sinceProgressMs,
    lastSweep: { sinceStartMs: null, sinceFinishMs, status: null, counts: null },
    lastPause: leftMs === undefined ? null : { ...PAUSE, leftMs },
  });
}

describe("fleetStatus of a fleet that divides the runs", () => {
  const lead = (shard: number, sinceMs: number | null) => ({
    shard,
    holder: "host-1/4711/ab12",
    sinceFinishMs: sinceMs,
    sinceProgressMs: sinceMs,
  });

  it("is well while each shard was swept within three ticks", () => {
    const shards = [lead(0, 1000), lead(1, PATIENCE_MS)];
    expect(statusOf({ shards })).toEqual({ status: "ok", exitCode: 0, reasons: [] });
  });

  it("names the shards that nobody has swept, and fails when it is all of them", () => {
    const some = [lead(0, 1000), lead(1, PATIENCE_MS + 1), lead(2, null), lead(3, 1000)];
    expect(statusOf({ shards: some })).toEqual({
      status: "degraded",
      exitCode: 3,
      reasons: [NOBODY_SWEEPS.replace("swept", "swept shard 1, 2")],
    });
    const none = [lead(0, PATIENCE_MS + 1), lead(1, null)];
    expect(statusOf({ shards: none })).toEqual({
      status: "failing",
      exitCode: 3,
      reasons: [NOBODY_SWEEPS],
    });
  });

  it("says that workers differ in the number of shards", () => {
    const workers = [aWorker({ shards: 4 }), aWorker({ holder: "host-2/1/cd34" })];
    expect(statusOf({ workers }).reasons).toEqual([
      "workers divide the runs differently: 1, 4; give all of them the same WATCHDOG_SHARDS",
    ]);
  });
});

describe("fleetStatus", () => {
  it("is well when somebody sweeps and nobody waits for more than time", () => {
    expect(statusOf({})).toEqual({ status: "ok", exitCode: 0, reasons: [] });
    expect(waiting({ alive: 7, suspected: 3 })).toEqual({ status: "ok", exitCode: 0, reasons: [] });
  });

  it("warns of a clock that is off by more than five seconds, and exits with 0 all the same", () => {
    expect(statusOf({ clockSkewMs: 5000 }).reasons).toEqual([]);
    expect(statusOf({ clockSkewMs: -5001 })).toEqual({
      status: "degraded",
      exitCode: 0,
      reasons: ["the clock of Postgres is 5 s behind this machine's, check their time service"],
    });
  });

  it("tells what is held with 4, whatever else there is", () => {
    expect(
      waiting({ held: 1, unanswered: 1, causes: [{ cause: "x y: HTTP 500", count: 1 }] }),
    ).toEqual({
      status: "degraded",
      exitCode: 4,
      reasons: [
        "1 held back by the guard, if they are dead: run-watchdog once --override-guard",
        "1 x x y: HTTP 500, look into its own log",
      ],
    });
  });

  it("tells why there is no answer, group by group, with the remedy where there is one", () => {
    const causes = [
      { cause: "service_api mint_api_key: HTTP 401", count: 20 },
      { cause: "something else", count: 2 },
    ];
    expect(waiting({ unanswered: 25, causes })).toEqual({
      status: "degraded",
      exitCode: 3,
      reasons: [
        "20 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY",
        "2 x something else",
        "3 more without an answer",
      ],
    });
  });

  it("tells of runs that cannot be handled with 3", () => {
    const failures = [{ cause: "SQLSTATE 23514", count: 2 }];
    expect(waiting({ failing: 3, failures })).toMatchObject({
      exitCode: 3,
      reasons: [
        "2 x SQLSTATE 23514, check the constraints of automation_runs",
        "1 more that could not be handled",
      ],
    });
  });

  for (const { name, found, fails } of [
    { name: "a finish within three ticks", found: swept(PATIENCE_MS, null), fails: false },
    { name: "a finish before them", found: swept(PATIENCE_MS + 1, null), fails: true },
    { name: "progress within three ticks", found: swept(null, PATIENCE_MS), fails: false },
    { name: "progress before them", found: swept(null, PATIENCE_MS + 1), fails: true },
    { name: "no sweep ever", found: swept(null, null), fails: true },
    {
      name: "a pause that ended within three ticks",
      found: swept(null, null, -PATIENCE_MS),
      fails: false,
    },
    {
      name: "a pause that ended before them",
      found: swept(null, null, -PATIENCE_MS - 1),
      fails: true,
    },
  ]) {
    it(`is ${fails ? "failing" : "well"} after ${name}`, () => {
      const reasons = fails
        ? [
            "nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says",
          ]
        : [];
      const [status, exitCode] = fails ? ["failing", 3] : ["ok", 0];
      expect(found).toEqual({ status, exitCode, reasons });
    });
  }

  it("is degraded in a pause, which names itself, and nobody is missed", () => {
    expect(swept(10 * PATIENCE_MS, null, 1)).toEqual({
      status: "degraded",
      exitCode: 3,
      reasons: [
        "paused until 2026-01-01T02:00:00Z by ann@host: moving the API (run-watchdog resume ends it)",
      ],
    });
  });

  it("warns of workers that differ, without an exit code for it", () => {
    const other = { holder: "host-2/1/cd34", fingerprint: "ffffffffffff", version: "2.0.0" };
    const workers = [aWorker(), aWorker({ ...other, leaseKind: "postgres" })];
    expect(statusOf({ workers })).toEqual({
      status: "degraded",
      exitCode: 0,
      reasons: [
        "workers are configured differently: 0123456789ab, ffffffffffff; compare what run-watchdog config says beside each",
        "workers have different versions: 1.2.3, 2.0.0",
        "workers use different leases: give all of them the same REDIS_URL, or none",
      ],
    });
  });

  it("warns of a leader with another lease than the workers that are listed, whoever it is", () => {
    const different = "workers use different leases: give all of them the same REDIS_URL, or none";
    const workers = [aWorker({ leaseKind: "postgres" })];
    expect(statusOf({ workers, leaseKind: "redis" }).reasons).toEqual([different]);
    expect(statusOf({ workers, leaseKind: "postgres" }).reasons).toEqual([]);
    expect(statusOf({ workers, leaseKind: null }).reasons).toEqual([]);
    expect(statusOf({ workers: [], leaseKind: "redis" }).reasons).toEqual([]);
  });

  it("compares only workers that were seen at the same time", () => {
    const gone = { holder: "host-2/1/cd34", fingerprint: "ffffffffffff", seenAgoMs: 310_000 };
    expect(statusOf({ workers: [aWorker({ seenAgoMs: 9000 }), aWorker(gone)] }).reasons).toEqual(
      [],
    );
  });
});

describe("isCurrent", () => {
  const seen = (...ages: readonly number[]): readonly ListedWorker[] =>
    ages.map((seenAgoMs) => aWorker({ seenAgoMs }));

  it("counts from the one seen last, for five minutes", () => {
    const workers = seen(3_600_000, 3_900_000, 3_900_001);
    expect(workers.map((worker) => isCurrent(worker, workers))).toEqual([true, true, false]);
  });
});
