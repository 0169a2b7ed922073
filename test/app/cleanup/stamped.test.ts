import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LeadDeps } from "../../../src/watchdog/lead/model.ts";
import { html } from "../../fake-host/model.ts";
import type { RunSeed, SeededRun } from "../../fake-host/seed.ts";
import {
  cleanupOf,
  deletions,
  expectSetFor,
  passForCleanups,
  stampOf,
} from "../../support/world/cleanup-rows.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const MINUTE_S = 60;
const DAY_S = 86_400;
const DONE = { done: 1, pending: 0, abandoned: 0 };
const NOTHING = { done: 0, pending: 0, abandoned: 0 };

/** The host's own watchdog deletes them; where it is parked, nobody would. */
describe("a sandbox that the host has stamped for its deletion", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("is left to the host for five minutes, and deleted then", async () => {
    const run = await seedStamped(1);
    const before = await rowOf(run);
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    expect(await rowOf(run)).toEqual(before);
    await passForCleanups(world, 4 * MINUTE_S);
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    await passForCleanups(world, MINUTE_S);
    expect((await world.sweep()).cleanups).toEqual(DONE);
    expect(deletions(world)).toEqual([run.sandboxId]);
    expect(await rowOf(run)).toEqual({ ...before, sandbox_cleanup_due_at: null });
  });

  it("is deleted with the key of its user, also where the host has no delay any more", async () => {
    const run = await seedStamped(6 * MINUTE_S);
    await world.sweep({ env: { AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: "0" } });
    expect(world.host.sandbox(run.sandboxId ?? "")).toBeUndefined();
  });

  it("is left alone for ever where the stamp is still to come", async () => {
    const run = await seedStamped(-60);
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    expectSetFor(await stampOf(world, run.id), 60);
  });

  it("is tried again at growing distance, as any deletion, and its stamp is kept ahead", async () => {
    const run = await seedStamped(6 * MINUTE_S);
    world.host.intercept(({ kind }) => (kind === "delete" ? html(503, "Trouble") : undefined));
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "pending",
      attempts: 1,
      error: "sandbox_api delete_sandbox returned HTTP 503",
    });
    expect((await stampOf(world, run.id))?.atMostS).toBeGreaterThanOrEqual(330);
  });

  it("is given up a day after it was taken over, and not taken over again", async () => {
    const run = await seedStamped(6 * MINUTE_S);
    world.host.intercept(({ kind }) => (kind === "delete" ? html(503, "Trouble") : undefined));
    await world.sweep();
    await passForCleanups(world, DAY_S + 1);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 0, abandoned: 1 });
    expect(await stampOf(world, run.id)).toBeNull();
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    expect(deletions(world)).toHaveLength(2);
  });

  it("goes on where another worker ended between taking it over and deleting it", async () => {
    const run = await seedStamped(6 * MINUTE_S);
    const stop = new AbortController();
    const cleanup = () => {
      stop.abort(new Error("the process has ended"));
      return new Promise<never>(() => {});
    };
    const replace = ({ backend }: LeadDeps) => ({ backend: { ...backend, cleanup } });
    await world.sweep({ replace, signal: stop.signal });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 1 });
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    await passForCleanups(world, 5 * MINUTE_S);
    expect((await world.sweep()).cleanups).toEqual(DONE);
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("is left alone where a RUNNING run names it as well", async () => {
    const run = await seedStamped(6 * MINUTE_S);
    await world.seed({ sandboxId: run.sandboxId, overdueMs: -3_600_000 });
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(deletions(world)).toEqual([]);
  });

  const left: readonly (readonly [string, RunSeed])[] = [
    ["with keep_alive", { automation: { keepAlive: true } }],
    ["of a run that has not ended", { status: "PENDING" }],
  ];
  for (const [what, seed] of left) {
    it(`is left alone ${what}`, async () => {
      const run = await seedStamped(6 * MINUTE_S, seed);
      expect((await world.sweep()).cleanups).toEqual(NOTHING);
      expect(deletions(world)).toEqual([]);
      expectSetFor(await stampOf(world, run.id), -6 * MINUTE_S);
    });
  }

  const backends: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "agent-server": { AUTOMATION_AGENT_SERVER_URL: "http://127.0.0.1:9" },
    http: {
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: "http://127.0.0.1:9/{run_id}",
      WATCHDOG_HTTP_CLEANUP_URL: "http://127.0.0.1:9/{sandbox_id}",
    },
  };
  for (const [name, env] of Object.entries(backends)) {
    it(`is left alone by the backend ${name}`, async () => {
      const run = await seedStamped(6 * MINUTE_S);
      expect((await world.sweep({ env })).cleanups).toEqual(NOTHING);
      expectSetFor(await stampOf(world, run.id), -6 * MINUTE_S);
    });
  }

  it("is left alone where the worker may not write the stamp", async () => {
    await seedStamped(6 * MINUTE_S);
    await world.database.sql.unsafe(`
      ALTER TABLE automation_runs RENAME TO jobs;
      CREATE VIEW automation_runs AS
        SELECT id, automation_id, status, error_detail, created_at, started_at, completed_at,
               timeout_at, sandbox_id, bash_command_id, status_detail,
               sandbox_cleanup_due_at + interval '0' AS sandbox_cleanup_due_at FROM jobs`);
    expect(await world.sweep()).toMatchObject({ status: "ok", cleanups: NOTHING });
    expect(deletions(world)).toEqual([]);
  });

  it("counts as no verdict", async () => {
    await seedStamped(6 * MINUTE_S, { status: "FAILED", errorDetail: "Timed out: x" });
    const report = await world.sweep();
    expect(report).toMatchObject({ status: "ok", counts: { stale: 0, failed: 0 }, runs: [] });
    expect(await world.database.sql`SELECT basis FROM watchdog.verdicts`).toEqual([
      { basis: "host" },
    ]);
  });

  async function seedStamped(overdueS: number, seed: RunSeed = {}): Promise<SeededRun> {
    const run = await world.seed({ status: "COMPLETED", completedAgoMs: 3_600_000, ...seed });
    await world.database.sql`
      UPDATE automation_runs
      SET sandbox_cleanup_due_at = now() - ${overdueS}::float8 * interval '1 second'
      WHERE id = ${run.id}`;
    return run;
  }

  async function rowOf({ id }: SeededRun) {
    const [row] = await world.database.sql`SELECT * FROM automation_runs WHERE id = ${id}`;
    return row;
  }
});
