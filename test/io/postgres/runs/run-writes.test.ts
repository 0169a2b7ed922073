import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunSnapshot } from "../../../../src/rules/model.ts";
import type { Fence } from "../../../../src/watchdog/ports.ts";
import { type RunSeed, type SeededRun, seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import {
  completing,
  deferring,
  everything,
  failing,
  HOLDER,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WRITTEN = { kind: "written" };
const NONE = { kind: "none" };
/** What jsonb would refuse or change. */
const ODD_JSON = '{"b": 1,  "a":"\\u0000\\ud800 ü", "b":2}';

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

describe("PostgresRunStore.apply", () => {
  it("ends a run and writes the journal in one commit", async () => {
    const { run, fence, seeded } = await setup();
    expect(await stores.store.apply(failing(run, { cleanupInMs: 60_000 }), fence)).toEqual(WRITTEN);
    const [both] = await database.sql`
      SELECT r.xmin = v.xmin AS together, r.completed_at = v.decided_at AS at_once,
             v.cleanup_next_at - v.decided_at = interval '1 minute'
               AND v.cleanup_due_at = v.cleanup_next_at AS due,
             r.status, r.error_detail, r.status_detail::text, r.timeout_at = ${run.timeoutAt}::text::timestamptz AS kept,
             to_jsonb(v) - ARRAY['id', 'decided_at', 'cleanup_next_at', 'cleanup_due_at'] AS entry
      FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id WHERE r.id = ${run.id}`;
    expect(both).toEqual({
      together: true,
      at_once: true,
      due: true,
      status: "FAILED",
      error_detail: "Timed out: Sandbox not available",
      status_detail: '{"phase":"verification"}',
      kept: true,
      entry: {
        run_id: run.id,
        automation_id: seeded.automationId,
        user_id: seeded.userId,
        org_id: seeded.orgId,
        shard: 0,
        epoch: fence.epoch,
        holder: HOLDER,
        trigger: "cron",
        outcome: "FAILED",
        basis: "presumption",
        reason: "sandbox gone",
        evidence: { kind: "gone", reason: "no-record" },
        override_reason: null,
        overturned_at: null,
        sandbox_id: seeded.sandboxId,
        cleanup_state: "pending",
        cleanup_attempts: 0,
        cleanup_error: null,
        cleanup_stamp_at: null,
        first_run_state: "none",
      },
    });
  });

  it("leaves the error of a completed run alone, and sets its status_detail to JSON null", async () => {
    const { run, fence } = await setup({ errorDetail: "a note", statusDetail: { old: true } });
    expect(await stores.store.apply(completing(run), fence)).toEqual(WRITTEN);
    expect(await rowOf(run)).toMatchObject({
      status: "COMPLETED",
      error_detail: "a note",
      status_detail: "null",
    });
  });

  it("writes status_detail byte for byte, also what jsonb would refuse or change", async () => {
    const { run, fence } = await setup();
    const verdict = { ...failing(run).verdict, statusDetail: ODD_JSON } as ReturnType<
      typeof failing
    >["verdict"];
    expect(await stores.store.apply(failing(run, { verdict }), fence)).toEqual(WRITTEN);
    expect((await rowOf(run)).status_detail).toBe(ODD_JSON);
  });

  const cleanups: readonly (readonly [string, RunSeed, number | null, string])[] = [
    ["is due when there is a sandbox", {}, 0, "pending"],
    ["is not due when the backend cleans nothing", {}, null, "none"],
    ["is not due without a sandbox", { sandboxId: null }, 0, "none"],
    ["is not due for an empty sandbox id", { sandboxId: "" }, 0, "none"],
    ["is not due when the automation keeps it", { automation: { keepAlive: true } }, 0, "none"],
  ];
  it.each(cleanups)("notes that the clean-up %s", async (_, seed, cleanupInMs, state) => {
    const { run, fence } = await setup(seed);
    await stores.store.apply(completing(run, { cleanupInMs }), fence);
    const [entry] = await database.sql`
      SELECT cleanup_state AS state, cleanup_next_at IS NOT NULL AS due
      FROM watchdog.verdicts WHERE run_id = ${run.id}`;
    expect(entry).toEqual({ state, due: state === "pending" });
  });

  it("notes a first outcome to record when the automation waits for one", async () => {
    const { run, fence } = await setup({ automation: { presetMetadata: { template: "t" } } });
    await stores.store.apply(completing(run), fence);
    const [entry] = await database.sql`
      SELECT first_run_state AS state FROM watchdog.verdicts WHERE run_id = ${run.id}`;
    expect(entry).toEqual({ state: "pending" });
  });

  it("does nothing when it is repeated", async () => {
    const { run, fence } = await setup();
    expect(await stores.store.apply(completing(run), fence)).toEqual(WRITTEN);
    const before = await everything(database.sql);
    expect(await stores.store.apply(failing(run), fence)).toEqual(NONE);
    expect(await everything(database.sql)).toEqual(before);
  });
});

describe("PostgresRunStore.defer", () => {
  it("moves the deadline on from now, and writes status_detail", async () => {
    const { run, fence } = await setup();
    const [before] = await database.sql`SELECT now()::text AS at`;
    const write = deferring(run, { deferMs: 45_000, statusDetail: '{"kind": "timeout"}' });
    expect(await stores.store.defer(write, fence)).toEqual(WRITTEN);
    const [row] = await database.sql`
      SELECT status, status_detail::text, completed_at,
             timeout_at - interval '45 seconds' BETWEEN ${before?.["at"]}::text::timestamptz AND now() AS moved
      FROM automation_runs WHERE id = ${run.id}`;
    expect(row).toEqual({
      status: "RUNNING",
      status_detail: '{"kind": "timeout"}',
      completed_at: null,
      moved: true,
    });
    expect(await database.sql`SELECT FROM watchdog.verdicts WHERE run_id = ${run.id}`).toEqual([]);
  });

  it("does not move it beyond the limit", async () => {
    const { run, fence } = await setup();
    const notAfterMs = Date.UTC(2026, 2, 1, 12, 0, 0, 250);
    expect(await stores.store.defer(deferring(run, { notAfterMs }), fence)).toEqual(WRITTEN);
    const [row] = await database.sql`
      SELECT timeout_at = '2026-03-01T12:00:00.250Z' AS at_limit
      FROM automation_runs WHERE id = ${run.id}`;
    expect(row).toEqual({ at_limit: true });
  });

  it.each([
    ["leaves it byte for byte as it is when there is nothing to say", null, ODD_JSON],
    ["replaces it byte for byte", '{"a":  1}', '{"a":  1}'],
    ["replaces it by JSON null", "null", "null"],
  ])("moves the deadline, and as for status_detail: %s", async (_, statusDetail, after) => {
    const { run, fence } = await setup();
    await database.sql`UPDATE automation_runs SET status_detail = ${ODD_JSON}::text::json WHERE id = ${run.id}`;
    expect(await stores.store.defer(deferring(run, { statusDetail }), fence)).toEqual(WRITTEN);
    expect((await rowOf(run)).status_detail).toBe(after);
  });

  it("leaves a status_detail of SQL NULL alone when there is nothing to say", async () => {
    const { run, fence } = await setup();
    expect(await stores.store.defer(deferring(run), fence)).toEqual(WRITTEN);
    expect((await rowOf(run)).status_detail).toBeNull();
  });
});

describe("the guard of a write", () => {
  const changes: readonly (readonly [string, string])[] = [
    ["another status", "status = 'CANCELLED'"],
    ["a deadline later by a microsecond", "timeout_at = timeout_at + interval '1 microsecond'"],
    ["a deadline earlier by a microsecond", "timeout_at = timeout_at - interval '1 microsecond'"],
    ["no deadline any more", "timeout_at = NULL"],
    ["another sandbox", "sandbox_id = sandbox_id || '2'"],
    ["no sandbox any more", "sandbox_id = NULL"],
    ["another command", "bash_command_id = 'other'"],
    ["no command any more", "bash_command_id = NULL"],
  ];
  it.each(changes)("lets nothing be written to a run that has %s", async (_, change) => {
    const { run, fence } = await setup();
    await database.sql.unsafe(`UPDATE automation_runs SET ${change} WHERE id = '${run.id}'`);
    await expectNothingWritten(run, fence);
  });

  it.each([
    ["a deadline", "timeout_at = now() - interval '1 minute'"],
    ["a sandbox", "sandbox_id = 'new'"],
    ["a command", "bash_command_id = 'new'"],
  ])("lets nothing be written to a run that got %s it had not", async (_, change) => {
    const { run, fence } = await setup({ timeoutAt: null, sandboxId: null, bashCommandId: null });
    await database.sql.unsafe(`UPDATE automation_runs SET ${change} WHERE id = '${run.id}'`);
    await expectNothingWritten(run, fence);
  });

  it("lets nothing be written when a newer epoch was handed out", async () => {
    const { run, fence } = await setup();
    await takeEpoch(stores);
    await expectNothingWritten(run, fence);
  });

  it("lets nothing be written under an epoch that was not handed out yet", async () => {
    const { run, fence } = await setup();
    await expectNothingWritten(run, { ...fence, epoch: fence.epoch + 1 });
  });

  it("lets a run be written that has neither deadline, sandbox nor command", async () => {
    const { run, fence } = await setup({ timeoutAt: null, sandboxId: null, bashCommandId: null });
    expect(await stores.store.apply(failing(run), fence)).toEqual(WRITTEN);
  });

  it("sees what changed in other columns and writes all the same", async () => {
    const { run, fence } = await setup();
    await database.sql`UPDATE automation_runs SET conversation_id = 'c', cost = 1 WHERE id = ${run.id}`;
    expect(await stores.store.apply(failing(run), fence)).toEqual(WRITTEN);
    const [row] =
      await database.sql`SELECT conversation_id, cost FROM automation_runs WHERE id = ${run.id}`;
    expect(row).toEqual({ conversation_id: "c", cost: 1 });
  });

  async function expectNothingWritten(run: RunSnapshot, fence: Fence) {
    const before = await everything(database.sql);
    expect(await stores.store.apply(completing(run), fence)).toEqual(NONE);
    expect(await stores.store.apply(failing(run), fence)).toEqual(NONE);
    expect(await stores.store.defer(deferring(run), fence)).toEqual(NONE);
    expect(await everything(database.sql)).toEqual(before);
  }
});

async function setup(
  seed: RunSeed = {},
): Promise<{ readonly run: RunSnapshot; readonly fence: Fence; readonly seeded: SeededRun }> {
  const seeded = await seedRun(database.sql, { timeoutAt: "2026-03-01T11:00:00.000007Z", ...seed });
  return { run: await readRun(stores, seeded.id), fence: await takeEpoch(stores), seeded };
}

async function rowOf(run: RunSnapshot) {
  const [row] = await database.sql<
    {
      readonly status: string;
      readonly error_detail: string;
      readonly status_detail: string | null;
    }[]
  >`SELECT status, error_detail, status_detail::text FROM automation_runs WHERE id = ${run.id}`;
  if (row === undefined) throw new Error("the run is gone");
  return row;
}
