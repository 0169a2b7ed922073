import { describe, expect, it, vi } from "vitest";
import type { SeededRun } from "../fake-host/seed.ts";
import { deleted, journal } from "../races/sample-runs.ts";
import { healthOf, LEASE_STORES, PATIENCE } from "../support/process/contending-workers.ts";
import { shiftedClock } from "../support/process/shifted-clock.ts";
import { startWorker, type WorkerProcess } from "../support/process/worker-process.ts";
import { holdLookups } from "../support/world/end-of-runs.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";

const MINUTE_MS = 60_000;
const APART_MS = 5 * MINUTE_MS;
const INTERVAL_S = 5;

const SETTINGS = {
  WATCHDOG_SCHEDULE: `*/${INTERVAL_S} * * * * *`,
  WATCHDOG_LEASE_TTL: "4s",
  WATCHDOG_LEASE_RENEW: "1s",
  WATCHDOG_LEASE_MARGIN: "500ms",
  WATCHDOG_DEFER: "3s",
  WATCHDOG_CONFIRMATIONS: "2",
  WATCHDOG_GUARD_MIN: "5",
  WATCHDOG_GUARD_PER_HOUR: "60",
  // A question is held back for longer than a lease lasts.
  WATCHDOG_VERIFY_TIMEOUT: "5m",
  LOG_LEVEL: "debug",
};

const CLOCK_IS_OFF =
  /^the clock of (Postgres|Redis|the backend) is (29\d|300) s (ahead of|behind) this worker's/;

const WITHIN = { timeout: 40_000, interval: 100 };

describe.each(LEASE_STORES)(
  "a worker five minutes behind and one five minutes ahead of Postgres ($name lease)",
  ({ open }) => {
    it("judge by its clock, one at a time, each tick once", PATIENCE, async () => {
      await using world = await createWorld();
      await using store = await open(world);
      const { sql } = world.database;
      const terms = await recordTerms(world);
      const [began] = await sql`SELECT now()::text AS at`;
      const spared = await seedSpared(world);
      const ended = [await seedExited(world, 0), await seedExited(world, 1)];

      const env = { ...world.env, ...store.env, ...SETTINGS };
      const beforeMs = Date.now();
      await using behind = await startWorker({ ...env, ...shiftedClock(-APART_MS) });
      await untilEnded(world, ended);
      await using ahead = await startWorker({ ...env, ...shiftedClock(APART_MS) });
      await expectClock(behind, -APART_MS, beforeMs);
      await expectClock(ahead, APART_MS, beforeMs);

      const questions = holdLookups(world);
      const { seen } = world.host.traffic.of("lookup");
      ended.push(await seedExited(world, 0), await seedExited(world, 1));
      ended.push(await world.seed({}, { status: "PAUSED" }), await seedPastHardDeadline(world));
      await questions.asked(seen + 1);
      await expectOneLeaseHeld([behind, ahead]);
      questions.answer();
      await untilEnded(world, ended);
      expectTicksSweptOnce(await terms());

      behind.kill();
      expect(await behind.exited).toEqual({ code: 0, signal: null });
      ended.push(await seedExited(world, 0));
      await untilEnded(world, ended);
      await expectHealthy(ahead);

      const verdicts = await journal(world);
      expect(verdicts.map(({ run_id }) => run_id).sort()).toEqual(ended.map(({ id }) => id).sort());
      await expectTimesOf(world, began?.["at"]);
      for (const { id } of spared) expect((await world.row(id)).status).toBe("RUNNING");
      const proven = verdicts.filter(({ basis }) => basis === "proof").map(({ run_id }) => run_id);
      await vi.waitFor(() => {
        const sandboxes = ended.filter(({ id }) => proven.includes(id));
        expect([...deleted(world)].sort()).toEqual(
          sandboxes.map(({ sandboxId }) => sandboxId).sort(),
        );
      }, WITHIN);
    });
  },
);

/** One that only the clock ahead calls overdue, and one that only it sees at its hard deadline, 25 minutes after the start. */
async function seedSpared(world: World) {
  const bashCommandId = randomCommandId();
  const outputs = [exitedWith(0, { bashCommandId })];
  return [
    await world.seed({ bashCommandId, overdueMs: -3 * MINUTE_MS }, { outputs }),
    await world.seed({ startedAgoMs: 21 * MINUTE_MS }),
  ];
}

/** The clock behind would wait for another three minutes. */
function seedPastHardDeadline(world: World) {
  return world.seed({ startedAgoMs: 27 * MINUTE_MS });
}

async function untilEnded({ database: { sql } }: World, runs: readonly SeededRun[]) {
  await vi.waitFor(async () => {
    const running = await sql`
      SELECT id FROM automation_runs
      WHERE status = 'RUNNING' AND id IN ${sql(runs.map(({ id }) => id))}`;
    expect(running).toHaveLength(0);
  }, WITHIN);
}

/** The clock of the process is off: else nothing here proves anything. */
async function expectClock(
  worker: WorkerProcess,
  shiftMs: number,
  beforeMs: number,
): Promise<void> {
  const { time } = await worker.waitForLog("health endpoint is up");
  const reallyMs = Date.parse(time) - shiftMs;
  expect(reallyMs).toBeGreaterThanOrEqual(beforeMs);
  expect(reallyMs).toBeLessThanOrEqual(Date.now());
}

/** For longer than a lease lasts: over two ticks of the one that stands by. */
async function expectOneLeaseHeld(workers: readonly WorkerProcess[]): Promise<void> {
  const ticks = new Set<string>();
  const sweepers = new Set<string>();
  await vi.waitFor(async () => {
    const healths = await Promise.all(workers.map(healthOf));
    const sweeping = healths.find(({ role }) => role === "sweeping");
    const standby = healths.find(({ role }) => role === "standby");
    expect(standby).toMatchObject({ lease: { holder: sweeping?.holder } });
    expectClocksOff(standby);
    expectClocksOff(sweeping);
    sweepers.add(sweeping?.holder ?? "");
    ticks.add(standby?.sweep.nextAt ?? "");
    expect(ticks.size).toBeGreaterThan(2);
  }, WITHIN);
  expect(sweepers.size).toBe(1);
}

async function expectHealthy(worker: WorkerProcess): Promise<void> {
  await vi.waitFor(async () => {
    expectClocksOff(await healthOf(worker));
  }, WITHIN);
}

/** It says so, of that of Postgres as well, and nothing else is wrong. */
function expectClocksOff(health: Partial<Awaited<ReturnType<typeof healthOf>>> = {}): void {
  const { status, reasons = [] } = health;
  expect(status).toBe("degraded");
  expect(reasons).toContainEqual(expect.stringMatching(/^the clock of Postgres/));
  for (const reason of reasons) expect(reason).toMatch(CLOCK_IS_OFF);
}

interface Term {
  readonly epoch: number;
  /** Since the sweep before it began, by the clock of Postgres. */
  readonly afterS: number | null;
}

/** Remembers when each sweep began, which its successor overwrites. */
async function recordTerms({ database: { sql } }: World): Promise<() => Promise<readonly Term[]>> {
  await sql.unsafe(`
    CREATE TABLE terms (epoch bigint, began_at timestamptz);
    CREATE FUNCTION record_term() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO public.terms VALUES (NEW.epoch, NEW.sweep_started_at); RETURN NULL; END $$;
    CREATE TRIGGER record_term AFTER UPDATE ON watchdog.leadership FOR EACH ROW
      WHEN (NEW.epoch <> OLD.epoch) EXECUTE FUNCTION record_term();`);
  return async () => [
    ...(await sql<Term[]>`
      SELECT epoch::int,
        extract(epoch FROM began_at - lag(began_at) OVER (ORDER BY epoch))::float8 AS "afterS"
      FROM terms ORDER BY epoch`),
  ];
}

/** Half an interval after the beginning of a sweep a new tick may be swept. */
function expectTicksSweptOnce(terms: readonly Term[]): void {
  expect(terms.length).toBeGreaterThan(2);
  const tooSoon = terms.filter(({ afterS }) => afterS !== null && afterS < INTERVAL_S / 2);
  expect(tooSoon).toEqual([]);
}

async function expectTimesOf({ database: { sql } }: World, began: string): Promise<void> {
  const untimely = await sql`
    SELECT r.id FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id
    WHERE NOT coalesce(r.completed_at BETWEEN ${began}::text::timestamptz AND now()
      AND v.decided_at BETWEEN ${began}::text::timestamptz AND now()
      AND coalesce(v.cleanup_next_at <= v.decided_at + interval '5 minutes 1 second', true), false)`;
  expect(untimely).toHaveLength(0);
}
