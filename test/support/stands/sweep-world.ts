import { vi } from "vitest";
import type { GuardPolicy } from "../../../src/rules/guard.ts";
import type { RunOutcome, SweepReport } from "../../../src/rules/report.ts";
import { leadSweep } from "../../../src/watchdog/lead/lead-sweep.ts";
import type { LeadDeps, LeadOptions, LeadResult } from "../../../src/watchdog/lead/model.ts";
import { withProgress } from "../../../src/watchdog/port-calls.ts";
import type { Fence, Log } from "../../../src/watchdog/ports.ts";
import type { Horizon } from "../../../src/watchdog/store-ports.ts";
import type { SweepOptions, SweepRequest, SweepWatch } from "../../../src/watchdog/sweep/model.ts";
import { OutcomeCounter } from "../../../src/watchdog/sweep/report.ts";
import { queryOf, sweep } from "../../../src/watchdog/sweep/sweep.ts";
import { FakeClock } from "../memory/fake-clock.ts";
import { MemoryDatabase } from "../memory/memory-database.ts";
import { MemoryFleet } from "../memory/memory-fleet.ts";
import { MemoryJournal } from "../memory/memory-journal.ts";
import { MemoryLeadership } from "../memory/memory-leadership.ts";
import { MemoryLease } from "../memory/memory-lease.ts";
import { MemoryStore } from "../memory/memory-store.ts";
import { ScriptedBackend } from "../memory/scripted-backend.ts";
import { POLICY } from "./snapshot.ts";

export const HOLDER = "host-1/4711/ab12";

/** Presumptions count at the first observation; tests of the guard ask for more. */
export const GUARD: GuardPolicy = {
  confirmations: 1,
  min: 5,
  ratio: 0.25,
  perHour: 60,
  unverifiableAfterMs: POLICY.unverifiableAfterMs,
};

export const OPTIONS: LeadOptions = {
  holder: HOLDER,
  shards: 1,
  lease: { ttlMs: 15_000, renewMs: 5_000, marginMs: 2_000 },
  progressTimeoutMs: 60_000,
  sweep: {
    concurrency: 4,
    pageSize: 3,
    deferMs: 45_000,
    nullDeadlineAfterMs: 24 * 3_600_000,
    cleanupDelayMs: 300_000,
    hostCleanupDelayMs: 0,
    policy: POLICY,
    guard: GUARD,
  },
  journalRetentionMs: 90 * 86_400_000,
  cleanupSlots: { beside: 2, after: 4 },
  cleanupTailMs: 30_000,
};

/** Two intervals of the schedule, and a minute. */
export const SHIELD_MS = 180_000;

export const REQUEST: SweepRequest = {
  trigger: "cron",
  intervalMs: 60_000,
  runIds: null,
  limit: null,
  overrideReason: null,
};

export interface Logged {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/**
 * Everything a worker needs, in memory and at a time that stands still. A test changes what single parts answer with
 * `vi.spyOn`.
 */
export function sweepWorld() {
  const clock = new FakeClock();
  const db = new MemoryDatabase(clock);
  const lines: Logged[] = [];
  let tokens = 0;
  const deps = {
    clock,
    store: new MemoryStore(db),
    journal: new MemoryJournal(db),
    leadership: new MemoryLeadership(db),
    fleet: new MemoryFleet(db),
    lease: new MemoryLease(clock),
    backend: new ScriptedBackend(),
    random: { token: () => `token-${++tokens}`, fraction: () => 0 },
    log: recordTo(lines),
  };
  const stop = new AbortController();
  return {
    ...deps,
    deps,
    db,
    lines,
    stop,
    /** `level message` in the order in which they were logged. */
    logged: () => lines.map(({ level, message }) => `${level} ${message}`),
    /** One attempt, which a test awaits or moves on with the clock. */
    lead(changes: Partial<SweepRequest> = {}, watch: SweepWatch = {}, options = OPTIONS) {
      const all: LeadDeps = { ...deps, watch };
      return leadSweep(all, options, { ...REQUEST, ...changes }, stop.signal);
    },
  };
}

export function reportOf(result: LeadResult): SweepReport {
  if (result.kind !== "swept") throw new Error(`nothing was swept: ${result.kind}`);
  return result.report;
}

export type SweepWorld = ReturnType<typeof sweepWorld>;

/** The same without a lease: one sweep under an epoch of its own. */
export function sweepStand() {
  const world = sweepWorld();
  const { db, clock, log, stop } = world;
  const fence = openFence(db);
  const outcomes: RunOutcome[] = [];
  const onProgress = vi.fn();
  const onHold = vi.fn();
  return Object.assign(world, {
    fence,
    /** In the order in which the runs ended. */
    outcomes,
    onProgress,
    onHold,
    sweep(changes: Partial<SweepOptions & SweepRequest> = {}) {
      const { store, backend } = withProgress(world, onProgress);
      const options = { ...OPTIONS.sweep, ...changes };
      const request = { ...REQUEST, ...changes };
      const query = queryOf(options, request, horizonOf(db));
      const told = new OutcomeCounter((outcome) => outcomes.push(outcome));
      return sweep(
        {
          store,
          backend,
          clock,
          log,
          options,
          request,
          holder: HOLDER,
          fence,
          query,
          outcomes: told,
          watch: { onHold },
        },
        stop.signal,
      );
    },
  });
}

export function horizonOf(db: MemoryDatabase): Horizon {
  return { text: db.nowText(), ms: db.nowMs() };
}

/** The right to write, for as long as the test does not throw in `check`. */
export function openFence(db: MemoryDatabase) {
  return { shard: 0, epoch: db.takeEpoch(), check: vi.fn() } satisfies Fence;
}

export function recordTo(lines: Logged[]): Log {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
