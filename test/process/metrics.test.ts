/** What /metrics tells of one worker and of the fleet. */
import { describe, expect, it } from "vitest";
import { COUNTERS, GAUGES, HISTOGRAMS } from "../../src/io/metrics/definitions.ts";
import { seedRun } from "../fake-host/seed.ts";
import { checkMetrics, findPromtool } from "../services/promtool.ts";
import { askMetrics, seriesValue, untilMetrics } from "../support/process/ask-metrics.ts";
import { startWorker } from "../support/process/worker-process.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };
const COMPLETED = 'watchdog_runs_total{action="completed",basis="proof"}';
const HELD = 'watchdog_waiting_runs{state="held"}';
const promtool = await findPromtool();

describe("/metrics", () => {
  it("tells what a sweep did, how long it took, and what it asked", async () => {
    await using world = await createWorld();
    await seedExited(world, 0, { overdueMs: 600_000 });
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    const text = await untilMetrics(worker, (page) => seriesValue(page, COMPLETED) === 1);
    const lag = seriesValue(text, "watchdog_detection_lag_seconds_sum");
    expect(lag).toBeGreaterThan(600);
    expect(lag).toBeLessThan(1200);
    for (const histogram of ["detection_lag", "verify_duration", "apply_duration"]) {
      expect(seriesValue(text, `watchdog_${histogram}_seconds_count`)).toBe(1);
    }
    const call = 'source="sandbox_api",operation="get_sandbox"';
    expect(seriesValue(text, `watchdog_backend_calls_total{${call},result="ok"}`)).toBe(1);
    expect(seriesValue(text, `watchdog_backend_call_duration_seconds_count{${call}}`)).toBe(1);
    expect(seriesValue(text, "watchdog_postgres_up")).toBe(1);
    expect(seriesValue(text, "watchdog_lease_store_up")).toBe(1);
    expect(seriesValue(text, "watchdog_schema_usable")).toBe(1);
  });

  it("has every metric there is, and nothing that promtool finds fault with", async () => {
    await using world = await createWorld();
    await seedExited(world, 0, { overdueMs: 600_000 });
    world.host.intercept(({ kind }) => (kind === "mint" ? { status: 401 } : undefined));
    // Some are only of use where the runs are divided.
    const divided = { WATCHDOG_SHARDS: "2" };
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND, ...divided });
    const text = await untilMetrics(
      worker,
      (page) =>
        page.includes("watchdog_unanswered_runs{") &&
        page.includes('watchdog_shard_last_sweep_age_seconds{shard="1"}'),
    );
    const { status, contentType } = await askMetrics(worker);
    expect(status).toBe(200);
    expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const name of Object.keys({ ...COUNTERS, ...HISTOGRAMS, ...GAUGES })) {
      expect(text).toContain(`# TYPE ${name} `);
      expect(text).toMatch(new RegExp(`^${name}(_bucket|)(\\{| )`, "m"));
    }
    expect(text).toContain(
      'watchdog_unanswered_runs{cause="service_api mint_api_key: HTTP 401"} 1',
    );
    if (promtool === null) return;
    expect(await checkMetrics(promtool, text)).toBe("");
  });

  it("shows the same figures of the fleet on the leader and on a standby", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    const one = { WATCHDOG_GUARD_MIN: "1" };
    for (let index = 0; index < 3; index += 1) await world.seed({}, { status: "MISSING" });
    await seedRun(sql, { status: "PENDING", createdAgoMs: 900_000, startedAgoMs: null });
    const env = { ...world.env, ...EVERY_SECOND, ...one };
    await using first = await startWorker(env);
    await using second = await startWorker(env);
    for (const worker of [first, second]) {
      const text = await untilMetrics(
        worker,
        (page) => seriesValue(page, HELD) === 3 && (seriesValue(page, "watchdog_epoch") ?? 0) > 0,
      );
      expect(seriesValue(text, "watchdog_overdue_runs")).toBe(3);
      expect(seriesValue(text, "watchdog_pending_runs")).toBe(1);
      expect(seriesValue(text, "watchdog_oldest_pending_seconds")).toBeGreaterThan(890);
    }
  });

  it("counts a verdict that a late callback overturns, once in the fleet, and the log names it", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    const { id } = await world.seed({}, { status: "MISSING" });
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    const presumed = 'watchdog_runs_total{action="failed",basis="presumption"}';
    await untilMetrics(worker, (page) => seriesValue(page, presumed) === 1);
    await sql`
      UPDATE automation_runs
      SET status = 'COMPLETED', error_detail = NULL, completed_at = completed_at + interval '95 s'
      WHERE id = ${id}`;
    const overturned = "watchdog_verdicts_overturned_total";
    const text = await untilMetrics(worker, (page) => (seriesValue(page, overturned) ?? 0) > 0);
    expect(seriesValue(text, overturned)).toBe(1);
    const rows = await sql`SELECT FROM watchdog.verdicts WHERE overturned_at IS NOT NULL`;
    expect(rows).toHaveLength(1);
    expect(await worker.waitForLog("run overturned")).toMatchObject({
      level: "info",
      runId: id,
      outcome: "FAILED",
      basis: "presumption",
      reason: "sandbox missing",
      statusNow: "COMPLETED",
      laterSeconds: 95,
    });
  });

  it("tells of a missing schema apart from a Postgres that is away", async () => {
    await using world = await createWorld();
    await world.database.sql`ALTER SCHEMA watchdog RENAME TO elsewhere`;
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    const text = await untilMetrics(
      worker,
      (page) => seriesValue(page, "watchdog_schema_usable") === 0,
    );
    expect(seriesValue(text, "watchdog_postgres_up")).toBe(0);
    expect(seriesValue(text, "watchdog_overdue_runs")).toBeNull();
  });
});
