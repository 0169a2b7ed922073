import { describe, expect, it } from "vitest";
import { type HealthFacts, health, liveness, readiness } from "../../src/rules/health.ts";
import { NOBODY_WAITS } from "../../src/rules/report.ts";

const MINUTE_MS = 60_000;
const NOW_MS = 10_000_000;
const VERIFY_TIMEOUT_MS = 30_000;
/** 3 x verify timeout + 30 s. */
const PATIENCE_MS = 120_000;

const IN_STEP = { postgres: 0, redis: null, backend: null };

/** A worker a minute after a sweep: nothing is wrong. */
const WELL: HealthFacts = {
  nowMs: NOW_MS,
  startedAtMs: NOW_MS - 60 * MINUTE_MS,
  postgres: "ok",
  lease: "ok",
  patienceMs: 3 * MINUTE_MS,
  nextTickAtMs: NOW_MS + 1000,
  progressAtMs: null,
  verifyTimeoutMs: VERIFY_TIMEOUT_MS,
  fleet: { seenAtMs: NOW_MS, sinceFinishMs: MINUTE_MS, sinceProgressMs: MINUTE_MS },
  lastPause: null,
  observes: false,
  otherLeaseKind: null,
  endlessLeaseKey: null,
  lastSweep: "ok",
  heldFor: null,
  apiRefusal: null,
  waiting: null,
  lastFailure: null,
  clockSkewsMs: IN_STEP,
  attemptFailure: null,
  endedElsewhere: 0,
};

function facts(changes: Partial<HealthFacts> = {}): HealthFacts {
  return { ...WELL, ...changes };
}

describe("liveness", () => {
  it("is alive when nothing is wrong", () => {
    expect(liveness(facts())).toEqual({ alive: true, reasons: [] });
  });

  it("is alive while the next tick is exactly one minute late", () => {
    expect(liveness(facts({ nextTickAtMs: NOW_MS - MINUTE_MS })).alive).toBe(true);
  });

  it("is dead when the next tick is more than one minute late", () => {
    expect(liveness(facts({ nextTickAtMs: NOW_MS - MINUTE_MS - 1 }))).toEqual({
      alive: false,
      reasons: ["the scheduler did not fire when it was due: restart this worker"],
    });
  });

  it("is alive while the running sweep moved 3 verify timeouts and 30 s ago", () => {
    expect(liveness(facts({ progressAtMs: NOW_MS - PATIENCE_MS })).alive).toBe(true);
  });

  it("is dead when the running sweep has not moved for longer than that", () => {
    expect(liveness(facts({ progressAtMs: NOW_MS - PATIENCE_MS - 1 }))).toEqual({
      alive: false,
      reasons: ["the running sweep has made no progress for 120 s: restart this worker"],
    });
  });

  it("grants a slow backend the time its verify timeout asks for", () => {
    const slow = { progressAtMs: NOW_MS - PATIENCE_MS - 1, verifyTimeoutMs: 60_000 };
    expect(liveness(facts(slow)).alive).toBe(true);
  });

  it("is alive however long a sweep takes that moves on", () => {
    const long = { startedAtMs: 0, nextTickAtMs: NOW_MS + 1, progressAtMs: NOW_MS - 1 };
    expect(liveness(facts(long)).alive).toBe(true);
  });

  it("is alive without Postgres and without the lease store", () => {
    const down = { postgres: { problem: "ECONNREFUSED" }, lease: { problem: "ECONNREFUSED" } };
    expect(liveness(facts({ ...down, fleet: null })).alive).toBe(true);
  });

  it("names both reasons when both hold", () => {
    const stuck = { nextTickAtMs: 0, progressAtMs: 0 };
    expect(liveness(facts(stuck)).reasons).toHaveLength(2);
  });
});

describe("readiness", () => {
  it("is ready when both stores answered", () => {
    expect(readiness(facts())).toEqual({ ready: true, reasons: [] });
  });

  it("is not ready before both stores have answered", () => {
    expect(readiness(facts({ postgres: "unknown", lease: "unknown" }))).toEqual({
      ready: false,
      reasons: ["postgres has not answered yet", "lease has not answered yet"],
    });
  });

  it("tells what is wrong with Postgres", () => {
    const missing = { postgres: { problem: "run `run-watchdog migrate`" } };
    expect(readiness(facts(missing))).toEqual({
      ready: false,
      reasons: ["postgres: run `run-watchdog migrate`"],
    });
  });

  it("tells what is wrong with the lease store", () => {
    expect(readiness(facts({ lease: { problem: "ECONNREFUSED" } }))).toEqual({
      ready: false,
      reasons: ["lease: ECONNREFUSED"],
    });
  });

  it("is ready although nobody has swept, a standby of another kind, and not alive", () => {
    const odd = { fleet: null, startedAtMs: 0, otherLeaseKind: "redis", nextTickAtMs: 0 };
    expect(readiness(facts(odd)).ready).toBe(true);
  });
});

describe("health", () => {
  it("is ok when nothing is wrong", () => {
    expect(health(facts())).toEqual({ status: "ok", reasons: [] });
  });

  it("is failing when the process is not alive", () => {
    expect(health(facts({ nextTickAtMs: 0 })).status).toBe("failing");
  });

  it("is degraded while a store does not answer", () => {
    const down = health(facts({ postgres: { problem: "ECONNREFUSED" } }));
    expect(down).toEqual({ status: "degraded", reasons: ["postgres: ECONNREFUSED"] });
  });

  it("is degraded with the remedy while other workers use another kind of lease", () => {
    expect(health(facts({ otherLeaseKind: "redis" }))).toEqual({
      status: "degraded",
      reasons: ["other workers use the redis lease: give all of them the same REDIS_URL, or none"],
    });
  });

  it("is failing with the remedy when the lease's key never expires", () => {
    expect(health(facts({ endlessLeaseKey: "watchdog:{7d0c}:lease" }))).toEqual({
      status: "failing",
      reasons: ["the key watchdog:{7d0c}:lease has no expiry and blocks every worker: delete it"],
    });
  });

  for (const lastSweep of ["error", "partial", "held"] as const) {
    it(`is degraded after a sweep of its own that ended as ${lastSweep}`, () => {
      const { status, reasons } = health(facts({ lastSweep }));
      expect({ status, count: reasons.length }).toEqual({ status: "degraded", count: 1 });
    });
  }

  for (const lastSweep of ["ok", "interrupted", "lease-held", "unavailable", null] as const) {
    it(`makes nothing of a last sweep that was ${lastSweep}`, () => {
      expect(health(facts({ lastSweep })).status).toBe("ok");
    });
  }

  it("says why the guard holds verdicts back", () => {
    const held = facts({ lastSweep: "held", heldFor: "a mass: 90 presumptions, 90 runs answered" });
    const reasons = ["holding: a mass: 90 presumptions, 90 runs answered"];
    expect(health(held)).toEqual({ status: "degraded", reasons });
  });

  it("is degraded while the backend is not to be asked", () => {
    const paused = facts({ apiRefusal: "sandbox_api asked for a pause" });
    const reasons = ["the backend is not asked: sandbox_api asked for a pause"];
    expect(health(paused)).toEqual({ status: "degraded", reasons });
  });

  it("is degraded from the first run that cannot be handled, and says why with the remedy", () => {
    const failures = [{ cause: "ending a run: SQLSTATE P0001, raised by a trigger", count: 1 }];
    expect(health(facts({ waiting: { ...NOBODY_WAITS, failing: 1, failures } }))).toEqual({
      status: "degraded",
      reasons: [
        "1 x ending a run: SQLSTATE P0001, raised by a trigger, check the triggers and policies of automation_runs",
      ],
    });
  });

  it("is degraded from the first run without an answer, whatever the last sweep was, and says why", () => {
    const causes = [
      { cause: "service_api mint_api_key: HTTP 401", count: 20 },
      { cause: "not asked: service_api keeps refusing one owner", count: 2 },
    ];
    const waiting = { ...NOBODY_WAITS, unanswered: 25, causes };
    const reasons = [
      "20 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY",
      "2 x not asked: service_api keeps refusing one owner, see why its calls failed before: it is asked again within a minute",
      "3 more without an answer",
    ];
    for (const lastSweep of ["ok", "partial", null]) {
      expect(health(facts({ lastSweep, waiting }))).toEqual({ status: "degraded", reasons });
    }
  });

  it("is degraded when the stores answer and the last attempt to sweep failed all the same", () => {
    const attemptFailure = "acquiring the lease failed: read-only";
    expect(health(facts({ attemptFailure }))).toEqual({
      status: "degraded",
      reasons: [`the last attempt to sweep failed: ${attemptFailure}`],
    });
    const lease = { problem: attemptFailure };
    expect(health(facts({ attemptFailure, lease })).reasons).toEqual([`lease: ${attemptFailure}`]);
  });

  it("is degraded while verdicts are held, also by a sweep of somebody else", () => {
    const waiting = { ...NOBODY_WAITS, held: 7 };
    const held = "7 held back by the guard, if they are dead: run-watchdog once --override-guard";
    expect(health(facts({ waiting }))).toEqual({ status: "degraded", reasons: [held] });
    expect(health(facts({ waiting, heldFor: "no sign of life from any run" })).reasons).toEqual([
      "holding: no sign of life from any run",
      held,
    ]);
  });

  it("makes nothing of runs that are alive or suspected, and of a bad sweep after which all is judged", () => {
    const waiting = { ...NOBODY_WAITS, alive: 3, suspected: 2 };
    for (const lastSweep of ["ok", "partial", "held"]) {
      expect(health(facts({ lastSweep, waiting }))).toEqual({ status: "ok", reasons: [] });
    }
  });

  it("says what ended the last sweep", () => {
    const failed = facts({ lastSweep: "error", lastFailure: "no progress for 60 s" });
    const reasons = ["the last sweep failed: no progress for 60 s"];
    expect(health(failed)).toEqual({ status: "degraded", reasons });
  });

  for (const [skewMs, reason] of [
    [5000, null],
    [-5000, null],
    [5001, "the clock of Postgres is 5 s ahead of this worker's, check their time service"],
    [-300_000, "the clock of Postgres is 300 s behind this worker's, check their time service"],
  ] as const) {
    it(`says ${reason === null ? "nothing" : "so"} when the clock of Postgres is off by ${skewMs} ms`, () => {
      const reasons = reason === null ? [] : [reason];
      expect(health(facts({ clockSkewsMs: { ...IN_STEP, postgres: skewMs } })).reasons).toEqual(
        reasons,
      );
    });
  }

  it("puts what fails before what is merely degraded", () => {
    const both = facts({
      endlessLeaseKey: "watchdog:{7d0c}:lease",
      lease: { problem: "ECONNREFUSED" },
    });
    expect(health(both)).toEqual({
      status: "failing",
      reasons: [
        "the key watchdog:{7d0c}:lease has no expiry and blocks every worker: delete it",
        "lease: ECONNREFUSED",
      ],
    });
  });
});

describe("nobody has swept", () => {
  const FAILING = {
    status: "failing",
    reasons: [
      "nobody has swept for 3 scheduled ticks: check that a worker runs, and what its log or run-watchdog doctor says",
    ],
  };
  const OK = { status: "ok", reasons: [] };
  const AGO_MS = 3 * MINUTE_MS;

  it("is ok when the fleet finished a sweep 3 intervals ago", () => {
    expect(health(finished(AGO_MS))).toEqual(OK);
  });

  it("is failing when the fleet finished its last sweep longer ago", () => {
    expect(health(finished(AGO_MS + 1))).toEqual(FAILING);
  });

  it("measures with the schedule's own interval", () => {
    expect(health({ ...finished(AGO_MS + 1), patienceMs: 6 * MINUTE_MS })).toEqual(OK);
  });

  it("adds the time since the row was read", () => {
    const fleet = { seenAtMs: NOW_MS - 2 * MINUTE_MS, sinceFinishMs: MINUTE_MS };
    expect(health(facts({ fleet: { ...fleet, sinceProgressMs: null } }))).toEqual(OK);
    expect(
      health(facts({ fleet: { ...fleet, sinceProgressMs: null }, nowMs: NOW_MS + 1 })),
    ).toEqual(FAILING);
  });

  it("counts progress as much as a finish", () => {
    const fleet = { seenAtMs: NOW_MS, sinceFinishMs: null, sinceProgressMs: AGO_MS };
    expect(health(facts({ fleet }))).toEqual(OK);
    expect(health(facts({ fleet: { ...fleet, sinceProgressMs: AGO_MS + 1 } }))).toEqual(FAILING);
  });

  it("counts whichever came last", () => {
    const fleet = { seenAtMs: NOW_MS, sinceFinishMs: AGO_MS + 1, sinceProgressMs: 0 };
    expect(health(facts({ fleet }))).toEqual(OK);
    const swapped = { seenAtMs: NOW_MS, sinceFinishMs: 0, sinceProgressMs: AGO_MS + 1 };
    expect(health(facts({ fleet: swapped }))).toEqual(OK);
  });

  it("counts from the start of the process on a new installation", () => {
    const fleet = { seenAtMs: NOW_MS, sinceFinishMs: null, sinceProgressMs: null };
    expect(health(facts({ fleet, startedAtMs: NOW_MS - AGO_MS }))).toEqual(OK);
    expect(health(facts({ fleet, startedAtMs: NOW_MS - AGO_MS - 1 }))).toEqual(FAILING);
  });

  it("counts from the start of the process while the row could not be read", () => {
    expect(health(facts({ fleet: null, startedAtMs: NOW_MS - AGO_MS }))).toEqual(OK);
    expect(health(facts({ fleet: null, startedAtMs: NOW_MS - AGO_MS - 1 }))).toEqual(FAILING);
  });

  it("does not take a fresh process for a mended outage", () => {
    expect(health({ ...finished(60 * MINUTE_MS), startedAtMs: NOW_MS })).toEqual(FAILING);
  });

  function finished(sinceFinishMs: number): HealthFacts {
    return facts({ fleet: { seenAtMs: NOW_MS, sinceFinishMs, sinceProgressMs: null } });
  }
});

describe("health in a pause and while observing", () => {
  const LAST = { until: "2026-01-01T02:00:00Z", reason: "moving the API", by: "ann@host" };
  const paused = (leftMs: number, changes: Partial<HealthFacts> = {}) =>
    health(facts({ lastPause: { ...LAST, leftMs }, ...changes }));
  const LONG_AGO = { seenAtMs: NOW_MS, sinceFinishMs: 60 * MINUTE_MS, sinceProgressMs: null };

  it("is degraded to the last millisecond, with until when, by whom and why", () => {
    expect(paused(1)).toEqual({
      status: "degraded",
      reasons: [
        "paused until 2026-01-01T02:00:00Z by ann@host: moving the API (run-watchdog resume ends it)",
      ],
    });
    expect(paused(0)).toEqual({ status: "ok", reasons: [] });
  });

  it("misses nobody's sweep while it is paused, nor for three ticks after", () => {
    expect(paused(1, { fleet: LONG_AGO }).status).toBe("degraded");
    expect(paused(-3 * MINUTE_MS, { fleet: LONG_AGO }).status).toBe("ok");
    expect(paused(-3 * MINUTE_MS - 1, { fleet: LONG_AGO }).status).toBe("failing");
  });

  it("is degraded while nothing is written because the worker observes", () => {
    expect(health(facts({ observes: true }))).toEqual({
      status: "degraded",
      reasons: ["observing: nothing is written, because WATCHDOG_MODE is observe"],
    });
  });
});
