import { afterEach, expect, it, vi } from "vitest";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

afterEach(() => {
  vi.useRealTimers();
});

it.each([
  ["ahead", HOUR_MS],
  ["behind", -HOUR_MS],
])("a worker whose clock is an hour %s judges and writes by the database's", async (_, shiftMs) => {
  await using world = await createWorld();
  const { sql } = world.database;
  const due = await seedExited(world, 0);
  const bashCommandId = randomCommandId();
  const outputs = [exitedWith(0, { bashCommandId })];
  const early = await world.seed({ bashCommandId, overdueMs: -30 * MINUTE_MS }, { outputs });
  // Ten minutes before and after the hard deadline, which is 25 minutes after the start. Their agent servers live in this
  // process, too: they have been up for longer than its clock is off.
  const server = { uptimeS: 86_400 };
  const young = await world.seed({ startedAgoMs: 15 * MINUTE_MS }, server);
  const old = await world.seed({ startedAgoMs: 35 * MINUTE_MS }, server);
  const [before] = await sql`SELECT now()::text AS now`;

  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + shiftMs });
  const report = await world.sweep();

  expect(report.runs.map(({ runId }) => runId).sort()).toEqual([due.id, young.id, old.id].sort());
  const ended = await sql`
    SELECT id, completed_at BETWEEN ${before?.["now"]}::text::timestamptz AND now() AS timely
    FROM automation_runs WHERE completed_at IS NOT NULL ORDER BY id`;
  expect([...ended]).toEqual([due.id, old.id].sort().map((id) => ({ id, timely: true })));
  const [deferred] = await sql`
    SELECT look_at BETWEEN now() AND now() + interval '45 s' AS soon
    FROM watchdog.suspicions WHERE run_id = ${young.id}`;
  expect(deferred).toEqual({ soon: true });
  expect((await world.row(early.id)).status).toBe("RUNNING");
});
