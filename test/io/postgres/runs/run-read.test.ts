import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StatementRefusedError } from "../../../../src/io/postgres/connection/errors.ts";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import { type RunSeed, seedAutomation, seedRun, seedRuns } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  DAY_MS,
  horizonAt,
  openStores,
  queryNow,
  type TestStores,
} from "../../../support/stands/stores.ts";

const HORIZON = "2026-03-01T12:00:00.000500+00:00";
const ISO_MICROSECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;

let database: TestDatabase;
let stores: TestStores;

beforeAll(async () => {
  database = await createDatabase();
  stores = openStores(database.connection);
});

afterAll(async () => {
  await stores?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

describe("PostgresRunStore.read", () => {
  it("shows a run and its automation, with microseconds", async () => {
    const run = await seedRun(database.sql, {
      timeoutAt: "2026-03-01T11:00:00.000007Z",
      automation: { timeoutS: 90, keepAlive: true, presetMetadata: { template: "t" } },
      statusDetail: { kind: "timeout", text: "a\u0000b" },
    });
    const { id, automationId, userId, orgId, sandboxId, bashCommandId } = run;
    await database.sql`UPDATE automation_runs SET started_at = '2026-03-01T10:00:00.123Z' WHERE id = ${id}`;
    const snapshot = await read(id, HORIZON);
    expect(snapshot).toEqual({
      id,
      automationId,
      userId,
      orgId,
      status: "RUNNING",
      stale: true,
      timeoutAt: "2026-03-01T11:00:00.000007+00:00",
      firstDeadlineMs: 1_772_362_800_000.007,
      sandboxId,
      bashCommandId,
      beganAt: "2026-03-01T10:00:00.123+00:00",
      beganAtMs: Date.UTC(2026, 2, 1, 10, 0, 0, 123),
      timeoutS: 90,
      keepAlive: true,
      firstRunOpen: true,
      statusDetail: { kind: "timeout", text: "a\u0000b" },
      suspicion: null,
      isRemembered: false,
      readAt: expect.stringMatching(ISO_MICROSECONDS),
    });
  });

  it("shows what is not there as null, and an automation without wishes as one that keeps nothing", async () => {
    const { id } = await seedRun(database.sql, {
      timeoutAt: null,
      sandboxId: null,
      bashCommandId: null,
      startedAgoMs: null,
      automation: { timeoutS: null, keepAlive: null },
    });
    await database.sql`UPDATE automation_runs SET created_at = '2026-03-01T10:00:00Z' WHERE id = ${id}`;
    expect(await read(id, HORIZON)).toMatchObject({
      timeoutAt: null,
      sandboxId: null,
      bashCommandId: null,
      beganAtMs: Date.UTC(2026, 2, 1, 10),
      timeoutS: null,
      keepAlive: false,
      firstRunOpen: false,
      statusDetail: null,
    });
  });

  it.each([
    ["JSON null", null],
    ["a text", "words"],
    ["a number beyond what JavaScript holds", "1e999", Number.POSITIVE_INFINITY],
  ])("takes status_detail as it is: %s", async (_, detail, expected: unknown = detail) => {
    const { id } = await seedRun(database.sql);
    const text = detail === "1e999" ? detail : JSON.stringify(detail);
    await database.sql`UPDATE automation_runs SET status_detail = ${text}::text::json WHERE id = ${id}`;
    expect((await read(id, HORIZON))?.statusDetail).toEqual(expected);
  });

  it("knows no run that is not there", async () => {
    expect(await read(randomUUID(), HORIZON)).toBeNull();
  });

  it("refuses what cannot be the id of a run, without repeating it", async () => {
    const reading = read("'; DROP TABLE x; --", HORIZON);
    await expect(reading).rejects.toThrow(StatementRefusedError);
    await expect(reading).rejects.toThrow(/^reading a run: SQLSTATE 22P02$/);
  });

  const staleness: readonly (readonly [string, RunSeed, boolean])[] = [
    ["a microsecond before the horizon", { timeoutAt: "2026-03-01T12:00:00.000499Z" }, true],
    ["at the horizon", { timeoutAt: "2026-03-01T12:00:00.000500Z" }, false],
    ["a microsecond after the horizon", { timeoutAt: "2026-03-01T12:00:00.000501Z" }, false],
    ["long ago, but COMPLETED", { overdueMs: 400 * DAY_MS, status: "COMPLETED" }, false],
    ["long ago, but PENDING", { overdueMs: 400 * DAY_MS, status: "PENDING" }, false],
  ];
  it.each(staleness)("judges a deadline %s", async (_, seed, stale) => {
    const { id } = await seedRun(database.sql, seed);
    expect((await read(id, HORIZON))?.stale).toBe(stale);
  });

  it.each([
    ["longer ago than the limit by a microsecond", "2026-02-28T12:00:00.000499Z", true],
    ["exactly as long ago as the limit", "2026-02-28T12:00:00.000500Z", false],
  ])("judges a run without a deadline that began %s", async (_, startedAt, stale) => {
    const { id } = await seedRun(database.sql, { timeoutAt: null });
    await database.sql`UPDATE automation_runs SET started_at = ${startedAt}::text::timestamptz WHERE id = ${id}`;
    expect((await read(id, HORIZON))?.stale).toBe(stale);
  });
});

describe("PostgresRunStore.backlog", () => {
  it("counts stale runs of both kinds, and says how long the oldest is overdue", async () => {
    await using world = await createDatabase();
    await using own = openStores(world.connection);
    const of = await seedAutomation(world.sql);
    const runs = await seedRuns(world.sql, [
      { of, timeoutAt: "2026-03-01T11:59:00Z" },
      { of, timeoutAt: "2026-03-01T12:00:00.000500Z" },
      { of, timeoutAt: null },
      { of, timeoutAt: null, startedAgoMs: 60_000 },
      { of, timeoutAt: "2026-03-01T01:00:00Z", status: "FAILED" },
    ]);
    const untimed = runs[2]?.id ?? "";
    // Due a day after it began: two minutes before the horizon.
    await world.sql`UPDATE automation_runs SET started_at = '2026-02-28T11:58:00.0005Z' WHERE id = ${untimed}`;
    expect(await own.store.backlog(horizonAt(HORIZON))).toEqual({
      count: 2,
      deferred: 0,
      held: 0,
      failing: 0,
      oldestOverdueMs: 120_000,
    });
  });

  it("is empty without stale runs", async () => {
    await using world = await createDatabase();
    await using own = openStores(world.connection);
    await seedRun(world.sql, { overdueMs: -60_000 });
    expect(await own.store.backlog(await queryNow(own))).toEqual({
      count: 0,
      deferred: 0,
      held: 0,
      failing: 0,
      oldestOverdueMs: null,
    });
  });

  it("survives a deadline of minus infinity", async () => {
    await using world = await createDatabase();
    await using own = openStores(world.connection);
    await seedRun(world.sql, { timeoutAt: "-infinity" });
    expect(await own.store.backlog(await queryNow(own))).toMatchObject({ count: 1 });
  });
});

function read(id: string, horizon: string): Promise<RunSnapshot | null> {
  return stores.store.read(id, horizonAt(horizon));
}
