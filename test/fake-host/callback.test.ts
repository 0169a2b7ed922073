import type { Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDatabase, type TestDatabase } from "../services/postgres/database.ts";
import { cancelRun, completeRun, dispatchPhaseTwo } from "./callback.ts";
import { seedAutomation, seedRun, seedRuns } from "./seed.ts";

const UNKNOWN = "00000000-0000-4000-8000-000000000000";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createDatabase({ migrate: false });
  sql = database.sql;
});

afterAll(async () => {
  await database[Symbol.asyncDispose]();
});

describe("completeRun", () => {
  it("ends a running run, with what only the callback knows", async () => {
    const { id } = await seedRun(sql);
    const completion = { runId: id, status: "COMPLETED", conversationId: "c1", cost: 1.5 } as const;
    expect(await completeRun(sql, completion)).toEqual({ code: 200, reconciled: false });
    expect(await rowOf(id)).toMatchObject({
      status: "COMPLETED",
      conversation_id: "c1",
      cost: 1.5,
      detail: "null",
      completed: true,
    });
  });

  it("writes a failure with its text and its status detail", async () => {
    const { id } = await seedRun(sql);
    await completeRun(sql, { runId: id, status: "FAILED", error: "boom" });
    const row = await rowOf(id);
    expect(row).toMatchObject({ status: "FAILED", error_detail: "boom" });
    expect(JSON.parse(row?.["detail"])).toMatchObject({ phase: "callback", detail: "boom" });
  });

  it("overturns a presumed failure with a success, and with nothing else", async () => {
    const [presumed, late, proven, completed] = await seedRuns(sql, [
      { status: "FAILED", errorDetail: "Timed out: Sandbox not available", completedAgoMs: 5000 },
      { status: "FAILED", errorDetail: "Timed out: Sandbox not available", completedAgoMs: 5000 },
      { status: "FAILED", errorDetail: "exit_code=1", completedAgoMs: 5000 },
      { status: "COMPLETED", completedAgoMs: 5000 },
    ]);
    const answer = (run: typeof presumed, status: "COMPLETED" | "FAILED") =>
      completeRun(sql, { runId: run?.id ?? "", status });
    expect(await answer(presumed, "COMPLETED")).toEqual({ code: 200, reconciled: true });
    expect(await answer(late, "FAILED")).toMatchObject({ code: 409 });
    expect(await answer(proven, "COMPLETED")).toMatchObject({ code: 409 });
    expect(await answer(completed, "COMPLETED")).toEqual({
      code: 409,
      detail: "Run is COMPLETED, expected RUNNING",
    });
    expect(await rowOf(presumed?.id ?? "")).toMatchObject({
      status: "COMPLETED",
      error_detail: null,
    });
    expect(await completeRun(sql, { runId: UNKNOWN, status: "COMPLETED" })).toEqual({ code: 404 });
  });

  it("holds the row lock until the hold is over", async () => {
    const { id } = await seedRun(sql);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { promise: holding, resolve: reached } = Promise.withResolvers<void>();
    const hold = () => {
      reached();
      return held;
    };
    const callback = completeRun(sql, { runId: id, status: "COMPLETED", hold });
    await holding;
    const lock = sql`SELECT id FROM automation_runs WHERE id = ${id} FOR NO KEY UPDATE NOWAIT`;
    await expect(lock).rejects.toMatchObject({ code: "55P03" });
    expect(await rowOf(id)).toMatchObject({ status: "RUNNING" });
    release();
    await callback;
    expect(await rowOf(id)).toMatchObject({ status: "COMPLETED" });
  });
});

describe("cancelRun", () => {
  it("cancels what has not ended, and nothing else", async () => {
    const [pending, ended] = await seedRuns(sql, [
      { status: "PENDING", startedAgoMs: null, timeoutAt: null },
      { status: "SKIPPED" },
    ]);
    expect(await cancelRun(sql, pending?.id ?? "")).toEqual({ code: 200, reconciled: false });
    expect(await cancelRun(sql, ended?.id ?? "")).toMatchObject({ code: 409 });
    expect(await cancelRun(sql, UNKNOWN)).toEqual({ code: 404 });
    expect(await rowOf(pending?.id ?? "")).toMatchObject({
      status: "CANCELLED",
      error_detail: "Cancelled by user",
    });
  });
});

describe("dispatchPhaseTwo", () => {
  it("writes the ids whatever the status is, and moves the deadline of a running run only", async () => {
    const [running, failed] = await seedRuns(sql, [
      { sandboxId: null, bashCommandId: null },
      { sandboxId: null, bashCommandId: null, status: "FAILED" },
    ]);
    const phase = { sandboxId: "s1", bashCommandId: "b1" };
    expect(await dispatchPhaseTwo(sql, { runId: running?.id ?? "", ...phase })).toBe(true);
    expect(await dispatchPhaseTwo(sql, { runId: failed?.id ?? "", ...phase })).toBe(false);
    expect(await rowOf(running?.id ?? "")).toMatchObject({ sandbox_id: "s1", overdue: false });
    expect(await rowOf(failed?.id ?? "")).toMatchObject({ sandbox_id: "s1", overdue: true });
  });
});

describe("seedRun", () => {
  it("makes an overdue running run that started in time, with an automation of its own", async () => {
    const run = await seedRun(sql, { automation: { timeoutS: 90, keepAlive: true } });
    expect(await rowOf(run.id)).toMatchObject({
      status: "RUNNING",
      overdue: true,
      completed: false,
      sandbox_id: run.sandboxId,
      bash_command_id: run.bashCommandId,
      detail: null,
      timeout: 90,
      keep_alive: true,
    });
  });

  it("keeps the microseconds of a deadline, and what only a JSON column can hold", async () => {
    const automation = await seedAutomation(sql, { presetMetadata: { template: { id: "t\0" } } });
    const timeoutAt = "2026-08-22 10:00:00.123456+00";
    const { id } = await seedRun(sql, { of: automation, timeoutAt, statusDetail: null });
    const [row] = await sql`
      SELECT (timeout_at = ${timeoutAt}::text::timestamptz) AS same, status_detail::text AS detail,
             preset_metadata::text AS metadata
      FROM automation_runs JOIN automations a ON a.id = automation_id WHERE automation_runs.id = ${id}`;
    expect(row).toEqual({
      same: true,
      detail: "null",
      metadata: '{"template":{"id":"t\\u0000"}}',
    });
  });

  it("makes runs without a deadline and runs whose deadline is to come", async () => {
    const [none, future] = await seedRuns(sql, [{ timeoutAt: null }, { overdueMs: -60_000 }]);
    expect(await rowOf(none?.id ?? "")).toMatchObject({ overdue: null });
    expect(await rowOf(future?.id ?? "")).toMatchObject({ overdue: false });
  });
});

async function rowOf(id: string) {
  const [row] = await sql`
    SELECT r.*, r.status_detail::text AS detail, r.timeout_at < now() AS overdue,
           r.completed_at IS NOT NULL AS completed, a.timeout, a.keep_alive
    FROM automation_runs r JOIN automations a ON a.id = r.automation_id WHERE r.id = ${id}`;
  return row;
}
