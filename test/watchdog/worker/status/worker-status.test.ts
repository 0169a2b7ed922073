import { describe, expect, it } from "vitest";
import { health } from "../../../../src/rules/health.ts";
import { NOBODY_WAITS } from "../../../../src/rules/report.ts";
import {
  LeaseLostError,
  LeaseUnavailableError,
  StoreSchemaError,
  StoreUnavailableError,
} from "../../../../src/watchdog/errors.ts";
import type { SharedApi } from "../../../../src/watchdog/ports.ts";
import type { LeadershipView } from "../../../../src/watchdog/store-ports.ts";
import { WorkerStatus } from "../../../../src/watchdog/worker/status/worker-status.ts";
import { anOutcome, aReport, NO_COUNTS } from "../../../report/a-report.ts";
import { FakeClock } from "../../../support/memory/fake-clock.ts";
import { reportOf, sweepWorld } from "../../../support/stands/sweep-world.ts";
import { ManualSchedule } from "../../../support/stands/worker-world.ts";

const VIEW: LeadershipView = {
  installation: "7d0c1d8e",
  epoch: 1,
  holder: "host-2/1/cd34/t",
  leaseKind: "redis",
  shards: 1,
  sweepStartedAt: null,
  sweepFinishedAt: null,
  sinceProgressMs: 50_000,
  sinceFinishMs: 60_000,
  lastStatus: null,
  lastPause: null,
  readAt: "2026-01-01T00:00:00.000000+00:00",
};

const HOUR_MS = 3_600_000;
const EMPTY = { count: 0, deferred: 0, held: 0, failing: 0, oldestOverdueMs: null };

describe("WorkerStatus facts", () => {
  it("begin with nothing known", async () => {
    const { clock, state } = await setup();
    expect(state.facts()).toEqual({
      at: clock.now(),
      holder: "host-1/4711/ab12",
      leaseKind: "redis",
      verifyTimeoutMs: 30_000,
      observes: false,
      lastPause: null,
      nowMs: 10_000,
      startedAtMs: 10_000,
      postgres: "unknown",
      lease: "unknown",
      patienceMs: 130_000,
      nextTickAtMs: 60_000,
      progressAtMs: null,
      fleet: null,
      api: null,
      apiRefusal: null,
      heldFor: null,
      waiting: null,
      lastFailure: null,
      clockSkewsMs: { postgres: null, redis: null, backend: null },
      attemptFailure: null,
      endedElsewhere: 0,
      otherLeaseKind: null,
      endlessLeaseKey: null,
      lastSweep: null,
      role: "idle",
      schemaProblem: false,
      leaseHolder: null,
      leaseExpiresAt: null,
      leaseHeldForMs: null,
      nextSweepAt: new Date(clock.now().getTime() + 50_000),
      ownLastSweep: null,
      replicas: null,
      recentSweeps: [],
      recentVerdicts: [],
      lastHold: null,
      leadership: null,
      backlog: null,
    });
    expect(state.ready).toBe(false);
  });

  it("tell when the next tick is due, and follow the wall clock no further", async () => {
    const { clock, state } = await setup();
    await clock.advance(50_000);
    clock.stepWall(3_600_000);
    expect(state.facts().nextTickAtMs).toBe(60_000);
    state.ticked();
    expect(state.facts().nextTickAtMs).toBe(120_000);
  });

  it("tell who holds the lease and until when, while standing by", async () => {
    const { clock, state } = await setup();
    state.standby(heldBy("host-2/1/cd34", 9_000));
    expect(state.facts()).toMatchObject({
      role: "standby",
      leaseHolder: "host-2/1/cd34",
      leaseExpiresAt: new Date(clock.now().getTime() + 9_000),
      endlessLeaseKey: null,
    });
  });

  it("tell for how long the holder has been sweeping, as of now, and of nobody else", async () => {
    const { clock, state } = await setup();
    state.standby(heldBy("host-2/1/cd34", 9_000, 40_000));
    await clock.advance(2_000);
    expect(state.facts().leaseHeldForMs).toBe(42_000);
    state.standby(heldBy("host-3/1/ef56", 9_000));
    expect(state.facts().leaseHeldForMs).toBeNull();
  });

  it("tell for how long our own lease has been held while we sweep, and not after that", async () => {
    const { clock, state } = await setup();
    state.watch.onTerm?.(() => 0);
    state.watch.onBegin?.({ epoch: 7, backlog: EMPTY });
    await clock.advance(3_000);
    expect(state.facts().leaseHeldForMs).toBe(3_000);
    state.idle();
    expect(state.facts().leaseHeldForMs).toBeNull();
  });

  it("tell of a lease that never expires, and forget it with the next refusal", async () => {
    const { state } = await setup();
    state.watch.onLeadership?.(VIEW);
    state.standby(heldBy(null, null));
    expect(state.facts()).toMatchObject({
      role: "standby",
      endlessLeaseKey: "watchdog:{7d0c1d8e}:lease",
    });
    expect(health(state.facts()).status).toBe("failing");
    state.standby(heldBy("host-2/1/cd34", 9_000));
    expect(state.facts().endlessLeaseKey).toBeNull();
  });

  it("tell of workers with another kind of lease, and forget them with the next attempt", async () => {
    const { state } = await setup();
    state.standby(heldBy("host-2/1/cd34", null));
    state.standbyOtherKind({ leaseKind: "postgres", shards: 1 });
    expect(state.facts()).toMatchObject({
      role: "standby",
      otherLeaseKind: "postgres",
      leaseHolder: null,
      endlessLeaseKey: null,
    });
    state.standby(heldBy("host-2/1/cd34", 9_000));
    expect(state.facts().otherLeaseKind).toBeNull();
    state.standbyOtherKind({ leaseKind: "postgres", shards: 1 });
    state.idle();
    expect(state.facts()).toMatchObject({ role: "idle", otherLeaseKind: null });
  });

  it("tell why the guard holds, until no run is held any more", async () => {
    const { state } = await setup();
    state.watch.onBegin?.({ epoch: 3, backlog: EMPTY });
    state.watch.onHold?.("no sign of life from any run");
    expect(state.facts()).toMatchObject({ heldFor: "no sign of life from any run" });
    state.waits({ ...NOBODY_WAITS, held: 1 });
    state.watch.onBegin?.({ epoch: 4, backlog: EMPTY });
    expect(state.facts()).toMatchObject({ heldFor: "no sign of life from any run" });
    state.waits(NOBODY_WAITS);
    expect(state.facts()).toMatchObject({ heldFor: null });
  });

  it("tell of the sweeps of this process, of what they held and why, and of what they ended and when", async () => {
    const { clock, state } = await setup();
    const outcome = anOutcome("11111111-1111-4111-8111-111111111111");
    state.watch.onBegin?.({ epoch: 3, backlog: EMPTY });
    state.watch.onOutcome?.(outcome);
    const decidedAt = clock.now();
    await clock.advance(1000);
    state.watch.onHold?.("a mass");
    const held = anOutcome("22222222-2222-4222-8222-222222222222", { action: "held" });
    state.swept(aReport({ epoch: 3, counts: { ...NO_COUNTS, held: 1 }, runs: [outcome, held] }));
    state.watch.onBegin?.({ epoch: 4, backlog: EMPTY });
    state.swept(aReport({ epoch: 4 }));
    expect(state.facts()).toMatchObject({
      recentSweeps: [{ epoch: 3 }, { epoch: 4 }],
      recentVerdicts: [{ decidedAt, outcome }],
      lastHold: { reason: "a mass", runIds: [held.runId] },
    });
  });

  it("tell of runs that another watchdog ended, all of an hour together, for an hour after the last", async () => {
    const { clock, state } = await setup();
    state.watch.onEndedElsewhere?.(2);
    await clock.advance(HOUR_MS - 1);
    state.watch.onEndedElsewhere?.(3);
    expect(state.facts().endedElsewhere).toBe(5);
    await clock.advance(HOUR_MS - 1);
    expect(state.facts().endedElsewhere).toBe(5);
    await clock.advance(1);
    expect(state.facts().endedElsewhere).toBe(0);
    state.watch.onEndedElsewhere?.(1);
    expect(health(state.facts()).reasons).toContain(
      "another watchdog ends runs: 1 that were suspected or held here, in the last hour, let it look seldom: AUTOMATION_WATCHDOG_INTERVAL_SECONDS=3600 for the host",
    );
  });

  it("tell how far other clocks are off, as they were read last, for an hour", async () => {
    const { clock, state } = await setup();
    const nowMs = clock.now().getTime();
    const reading = { theirMs: nowMs + 300_000, sentMs: nowMs, receivedMs: nowMs, precisionMs: 1 };
    state.watch.onClock?.("postgres", reading);
    state.watch.onClock?.("backend", { ...reading, theirMs: nowMs - 7001 });
    await clock.advance(3_600_000 - 1);
    const skews = { postgres: 300_000, redis: null, backend: -7000 };
    expect(state.facts().clockSkewsMs).toEqual(skews);
    await clock.advance(1);
    expect(state.facts().clockSkewsMs).toEqual({ postgres: null, redis: null, backend: null });
  });

  it("tell which runs wait, as they were counted last, and what ended our own sweep", async () => {
    const { state } = await setup();
    const waiting = { ...NOBODY_WAITS, held: 1 };
    state.watch.onWaiting?.(waiting);
    expect(state.facts()).toMatchObject({ waiting, lastFailure: null });
    state.waits(NOBODY_WAITS);
    const report = reportOf(await sweepWorld().lead());
    state.swept({ ...report, epoch: 9, status: "error", exitCode: 1, message: "no progress" });
    expect(state.facts()).toMatchObject({ waiting: NOBODY_WAITS, lastFailure: "no progress" });
  });

  it("tell how the fleet's last sweep ended when somebody else made it", async () => {
    const { state } = await setup();
    state.watch.onLeadership?.({ ...VIEW, epoch: 9, lastStatus: "held" });
    expect(state.facts()).toMatchObject({ lastSweep: "held", heldFor: null });
    expect(health(state.facts()).status).toBe("degraded");
  });

  it("tell what the shared API asks for, as it is at the moment", async () => {
    const api = {
      throttle: { pausedForMs: 0, concurrency: null },
      breaker: "open" as const,
      blockedReason: null as string | null,
      restore() {},
    };
    const { state } = await setup(api);
    expect(state.facts()).toMatchObject({ api, apiRefusal: null });
    api.blockedReason = "the circuit is open";
    expect(state.facts().apiRefusal).toBe("the circuit is open");
  });

  it("tell of a sweep that is under way", async () => {
    const { clock, state } = await setup();
    state.standby(heldBy("host-2/1/cd34", 0));
    state.watch.onTerm?.(() => 23_000);
    state.watch.onBegin?.({ epoch: 3, backlog: { ...EMPTY, count: 7, oldestOverdueMs: 1_000 } });
    expect(state.facts()).toMatchObject({
      role: "sweeping",
      leaseHolder: "host-1/4711/ab12",
      leaseExpiresAt: new Date(clock.now().getTime() + 13_000),
      progressAtMs: 10_000,
      postgres: "ok",
      lease: "ok",
      backlog: { count: 7, oldestOverdueMs: 1_000, countedAt: clock.now() },
    });
    await clock.advance(5_000);
    state.watch.onProgress?.();
    expect(state.facts().progressAtMs).toBe(15_000);
  });

  it("take each try of the database for a sign of life while a sweep is under way, not for progress", async () => {
    const { clock, state } = await setup();
    state.watch.onStoreTry?.(null);
    expect(state.facts().progressAtMs).toBeNull();
    state.watch.onLeadership?.(VIEW);
    state.watch.onBegin?.({ epoch: 1, backlog: EMPTY });
    for (const failure of [new StoreUnavailableError("ECONNREFUSED"), null]) {
      await clock.advance(1_000);
      state.watch.onStoreTry?.(failure);
      expect(state.facts()).toMatchObject({
        progressAtMs: clock.monotonicMs(),
        fleet: { seenAtMs: 10_000, sinceProgressMs: 50_000 },
      });
    }
  });

  it("tell of a sweep that has ended, and that nothing is under way", async () => {
    const { clock, state } = await setup();
    state.watch.onLeadership?.(VIEW);
    state.watch.onBegin?.({ epoch: 1, backlog: { ...EMPTY, count: 0, oldestOverdueMs: null } });
    await clock.advance(1_000);
    const report = reportOf(await sweepWorld().lead());
    state.swept(report);
    expect(state.facts()).toMatchObject({
      role: "idle",
      progressAtMs: null,
      ownLastSweep: report,
      lastSweep: "ok",
      fleet: { seenAtMs: 11_000, sinceFinishMs: 0, sinceProgressMs: 0 },
    });
    state.watch.onLeadership?.({ ...VIEW, epoch: 2 });
    expect(state.facts().lastSweep).toBeNull();
  });

  it("take a failed sweep for no finish of the fleet's", async () => {
    const { state } = await setup();
    state.watch.onLeadership?.(VIEW);
    const report = reportOf(await sweepWorld().lead());
    state.swept({ ...report, status: "error", exitCode: 1 });
    expect(state.facts()).toMatchObject({ lastSweep: "error", fleet: { sinceFinishMs: 60_000 } });
  });

  it("take own progress for the fleet's", async () => {
    const { clock, state } = await setup();
    state.watch.onLeadership?.(VIEW);
    await clock.advance(5_000);
    state.watch.onProgress?.();
    expect(state.facts().fleet).toEqual({
      seenAtMs: 15_000,
      sinceFinishMs: 60_000,
      sinceProgressMs: 0,
    });
  });
});

describe("WorkerStatus standings", () => {
  const cases = [
    {
      name: "an outage of Postgres says nothing about the lease store",
      error: new StoreUnavailableError("ECONNREFUSED"),
      expected: { postgres: { problem: "ECONNREFUSED" }, lease: "unknown" },
    },
    {
      name: "a schema that does not fit is Postgres' problem",
      error: new StoreSchemaError("run migrate"),
      expected: { postgres: { problem: "run migrate" }, lease: "unknown" },
    },
    {
      name: "an outage of the lease store says that Postgres answered before it",
      error: new LeaseUnavailableError("timed out"),
      expected: { postgres: "ok", lease: { problem: "timed out" } },
    },
    {
      name: "a lease that could not be renewed is the lease store's problem alone",
      error: new LeaseLostError("the lease was not renewed in time", {
        cause: new LeaseUnavailableError("READONLY"),
      }),
      expected: { postgres: "unknown", lease: { problem: "READONLY" } },
    },
    {
      name: "a lease that went to somebody else says nothing about either",
      error: new LeaseLostError("the store does not hold the lease under our name any more"),
      expected: { postgres: "unknown", lease: "unknown" },
    },
    {
      name: "any other error says nothing about either",
      error: new Error("a bug"),
      expected: { postgres: "unknown", lease: "unknown" },
    },
  ];
  for (const { name, error, expected } of cases) {
    it(name, async () => {
      const { state } = await setup();
      state.failed(error);
      expect(state.facts()).toMatchObject(expected);
      expect(state.ready).toBe(false);
      state.storesAnswered();
      expect(state.ready).toBe(true);
    });
  }
});

describe("WorkerStatus and health", () => {
  const ages = [
    {
      name: "is well on a standby whose fleet made progress at the third-last tick",
      agoMs: 130_000,
      status: "ok",
    },
    {
      name: "fails on a standby whose fleet made none since just before that tick",
      agoMs: 130_001,
      status: "failing",
    },
  ];
  for (const { name, agoMs, status } of ages) {
    it(name, async () => {
      const { clock, state } = await setup();
      state.storesAnswered();
      state.standby(heldBy("host-2/1/cd34", 9_000));
      const readAt = clock.now().toISOString();
      state.watch.onLeadership?.({ ...VIEW, readAt, sinceProgressMs: agoMs, sinceFinishMs: null });
      expect(health(state.facts()).status).toBe(status);
    });
  }

  it("fails with the tick that makes the row three ticks old", async () => {
    const { clock, state } = await setup();
    state.storesAnswered();
    state.standby(heldBy("host-2/1/cd34", 9_000));
    const readAt = clock.now().toISOString();
    state.watch.onLeadership?.({ ...VIEW, readAt, sinceProgressMs: 100_000, sinceFinishMs: null });
    await clock.advance(49_999);
    expect(health(state.facts()).status).toBe("ok");
    await clock.advance(1);
    expect(health(state.facts()).status).toBe("failing");
  });
});

function heldBy(
  holder: string | null,
  expiresInMs: number | null,
  heldForMs: number | null = null,
) {
  return { holder, expiresInMs, heldForMs };
}

/** A state that begins ten seconds after a full minute. */
async function setup(api: SharedApi | null = null, observes = false) {
  const clock = new FakeClock();
  await clock.advance(10_000);
  const identity = {
    holder: "host-1/4711/ab12",
    leaseKind: "redis",
    verifyTimeoutMs: 30_000,
    api,
    observes,
  } as const;
  return { clock, state: new WorkerStatus(clock, new ManualSchedule(clock), identity) };
}
