import { describe, expect, it } from "vitest";
import { PostgresFigures } from "../../../../src/io/postgres/runs/fleet-figures.ts";
import { type RunSeed, seedRun } from "../../../fake-host/seed.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import { NO_FIGURES } from "../../../support/stands/figures.ts";
import { POLICY } from "../../../support/stands/snapshot.ts";
import { DAY_MS, openStores } from "../../../support/stands/stores.ts";

const MIN_MS = 60_000;
const { nowMs: _, ...NOTHING } = NO_FIGURES;
/** The hard deadline of a run with the default timeout is so long after its start. */
const ALLOWED_MS = POLICY.readyTimeoutMs + POLICY.defaultRunMs + POLICY.hardGraceMs;

describe("PostgresFigures.figures", () => {
  it("are zero where there is nothing, with the database's time", async () => {
    await using stand = await setup();
    const { nowMs, ...figures } = await stand.figures();
    expect(figures).toEqual(NOTHING);
    const [row] = await stand.sql`SELECT extract(epoch FROM now())::float8 * 1000 AS now`;
    expect(row?.["now"] - nowMs).toBeGreaterThan(-1000);
    expect(row?.["now"] - nowMs).toBeLessThan(60_000);
  });

  it("count runs by the deadline that they had before they were deferred", async () => {
    await using stand = await setup();
    await stand.run({ overdueMs: 10 * MIN_MS });
    await stand.run({ overdueMs: -10 * MIN_MS });
    await stand.run({ overdueMs: 90 * MIN_MS, status: "COMPLETED" });
    const deferred = await stand.run({ overdueMs: -10 * MIN_MS });
    await stand.remember(deferred, { firstDeadlineMin: 30 });
    const figures = await stand.figures();
    expect(figures.overdueRuns).toBe(2);
    expect(figures.oldestOverdueMs).toBeGreaterThanOrEqual(30 * MIN_MS);
    expect(figures.oldestOverdueMs).toBeLessThan(60 * MIN_MS);
  });

  it("forget what was said of another attempt", async () => {
    await using stand = await setup();
    const restarted = await stand.run({ overdueMs: -10 * MIN_MS });
    await stand.remember(restarted, { firstDeadlineMin: 90, unknownMin: 90 });
    await stand.sql`UPDATE automation_runs SET started_at = now() WHERE id = ${restarted}`;
    expect(await stand.figures()).toMatchObject({ overdueRuns: 0, silentRuns: 0 });
  });

  it("give a run without a deadline one from its beginning", async () => {
    await using stand = await setup();
    await stand.run({ timeoutAt: null, startedAgoMs: DAY_MS + MIN_MS });
    await stand.run({ timeoutAt: null, startedAgoMs: DAY_MS - MIN_MS });
    expect(await stand.figures()).toMatchObject({ overdueRuns: 1 });
  });

  const ages: readonly (readonly [string, number, RunSeed["automation"], number])[] = [
    ["an hour and a minute before it", ALLOWED_MS - 61 * MIN_MS, {}, 0],
    ["59 minutes before it", ALLOWED_MS - 59 * MIN_MS, {}, 1],
    ["a minute before it", ALLOWED_MS - MIN_MS, {}, 1],
    ["a second after it", ALLOWED_MS + 1000, {}, 0],
    ["a minute before it, with a timeout of its own", ALLOWED_MS - MIN_MS, { timeoutS: 1 }, 0],
    ["a second after the default one", ALLOWED_MS + 1000, { timeoutS: 99_999_999 }, 1],
  ];
  for (const [name, startedAgoMs, automation, expected] of ages) {
    it(`count ${expected} as near the hard deadline ${name}`, async () => {
      await using stand = await setup();
      await stand.run({ startedAgoMs, automation: automation ?? {} });
      expect(await stand.figures()).toMatchObject({ hardDeadlineSoonRuns: expected });
    });
  }

  it("count runs without a usable answer for more than an hour as silent", async () => {
    await using stand = await setup();
    await stand.remember(await stand.run(), { unknownMin: 61 });
    await stand.remember(await stand.run(), { unknownMin: 59 });
    expect(await stand.figures()).toMatchObject({ silentRuns: 1 });
  });

  it("count runs that nobody picks up after a minute, with the age of the oldest", async () => {
    await using stand = await setup();
    await stand.pending(50_000);
    const young = await stand.figures();
    expect(young.pendingRuns).toBe(0);
    expect(young.oldestPendingMs).toBeGreaterThanOrEqual(50_000);
    await stand.pending(20 * MIN_MS);
    const old = await stand.figures();
    expect(old.pendingRuns).toBeGreaterThanOrEqual(1);
    expect(old.oldestPendingMs).toBeGreaterThanOrEqual(20 * MIN_MS);
    expect(old.overdueRuns).toBe(0);
  });

  it("count the deletions that are left, with how long the oldest is overdue", async () => {
    await using stand = await setup();
    await stand.verdict("pending", 10, null);
    await stand.verdict("pending", 10, -30);
    await stand.verdict("done", 90, 90);
    const figures = await stand.figures();
    expect(figures.pendingCleanups).toBe(2);
    expect(figures.oldestCleanupMs).toBeGreaterThanOrEqual(10 * MIN_MS);
    expect(figures.oldestCleanupMs).toBeLessThan(30 * MIN_MS);
  });

  it("know no oldest deletion while none is due", async () => {
    await using stand = await setup();
    await stand.verdict("pending", 10, -30);
    expect(await stand.figures()).toMatchObject({ pendingCleanups: 1, oldestCleanupMs: null });
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const { sql, connection } = resources.use(await createDatabase());
  const { database } = resources.use(openStores(connection));
  const fleet = new PostgresFigures(database);
  const opened = resources.move();
  const agoMin = (minutes: number | null) => sql`now() - ${minutes}::float8 * interval '1 minute'`;
  return {
    sql,
    figures: () => fleet.figures({ nullDeadlineAfterMs: DAY_MS, policy: POLICY }),
    run: async (seed: RunSeed = {}) => (await seedRun(sql, seed)).id,
    async pending(createdAgoMs: number): Promise<void> {
      await seedRun(sql, { status: "PENDING", createdAgoMs, startedAgoMs: null, timeoutAt: null });
    },
    async remember(
      runId: string,
      { firstDeadlineMin = 1, unknownMin = null }: Readonly<Partial<Remembered>>,
    ): Promise<void> {
      await sql`
        INSERT INTO watchdog.suspicions (run_id, sandbox_id, bash_command_id, began_at,
          first_deadline_at, noted_at, unknown_times, unknown_since)
        SELECT id, sandbox_id, bash_command_id, started_at, ${agoMin(firstDeadlineMin)}, now(),
          1, ${agoMin(unknownMin)}
        FROM automation_runs WHERE id = ${runId}`;
    },
    async verdict(state: string, decidedMin: number, dueMin: number | null): Promise<void> {
      await sql`
        INSERT INTO watchdog.verdicts (run_id, epoch, holder, trigger, decided_at, outcome, basis,
          reason, evidence, sandbox_id, cleanup_state, cleanup_due_at, first_run_state)
        VALUES (gen_random_uuid(), 1, 'test', 'cron', ${agoMin(decidedMin)}, 'FAILED', 'proof',
          'exit_code=1', '{}', 'sandbox', ${state}, ${agoMin(dueMin)}, 'none')`;
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

interface Remembered {
  readonly firstDeadlineMin: number;
  readonly unknownMin: number | null;
}
