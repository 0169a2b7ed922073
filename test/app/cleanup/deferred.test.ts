import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { completeRun } from "../../fake-host/callback.ts";
import { html } from "../../fake-host/model.ts";
import type { AutomationSeed, SeededRun } from "../../fake-host/seed.ts";
import { journalWith } from "../../support/stands/journal-double.ts";
import {
  cleanupOf,
  deletions,
  expectSetFor,
  passForCleanups,
  pauses,
  type Stamp,
  stampOf,
} from "../../support/world/cleanup-rows.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const HOUR_S = 3600;
const DELAY = { AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: String(HOUR_S) };
const AT_ONCE = { ...DELAY, WATCHDOG_CLEANUP_DELAY: "0s" };
const PENDING = { done: 0, pending: 1, abandoned: 0 };
const DONE = { done: 1, pending: 0, abandoned: 0 };
const NOTHING = { done: 0, pending: 0, abandoned: 0 };

describe("a clean-up that the host's delay puts off", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("pauses the sandbox of a proof at once, stamps its run, and deletes it when that is due", async () => {
    const run = await seedExited();
    expect((await sweep()).cleanups).toEqual(PENDING);
    expect((await world.row(run.id)).status).toBe("COMPLETED");
    expect(pauses(world)).toEqual([run.sandboxId]);
    expect(deletions(world)).toEqual([]);
    expectSetFor(await stampOf(world, run.id), HOUR_S);
    expect(world.host.sandbox(run.sandboxId ?? "")?.status).toBe("PAUSED");

    await passForCleanups(world, HOUR_S - 30);
    expect((await sweep()).cleanups).toEqual(PENDING);
    expect(deletions(world)).toEqual([]);
    await passForCleanups(world, 30);
    expect((await sweep()).cleanups).toEqual(DONE);
    expect(deletions(world)).toEqual([run.sandboxId]);
    expect(pauses(world)).toHaveLength(1);
    expect(await stampOf(world, run.id)).toBeNull();
  });

  it("stamps the run in the statement of the verdict, before anything is asked", async () => {
    const run = await seedExited();
    let atPause: Stamp | null = null;
    world.host.intercept(async ({ kind }) => {
      if (kind === "pause") atPause = await stampOf(world, run.id);
      return undefined;
    });
    await sweep();
    expectSetFor(atPause, HOUR_S);
    const [row] = await world.database.sql`
      SELECT r.sandbox_cleanup_due_at - r.completed_at = interval '1 hour' AS exact
      FROM automation_runs r`;
    expect(row).toEqual({ exact: true });
  });

  it("asks with the user's own key", async () => {
    const run = await seedExited();
    await sweep();
    const [lookup, pause] = ["lookup", "pause"].map((wanted) =>
      world.host.requests.find(({ kind }) => kind === wanted),
    );
    expect(pause?.path).toBe(`/api/v1/sandboxes/${run.sandboxId}/pause`);
    expect(pause?.headers.authorization).toMatch(/^Bearer sk-oh-/);
    expect(pause?.headers.authorization).toBe(lookup?.headers.authorization);
  });

  it("tries to pause what is presumed dead when it is not spared any more", async () => {
    const run = await world.seed({}, { status: "PAUSED" });
    expect((await sweep()).cleanups).toEqual(PENDING);
    expect((await world.row(run.id)).error_detail).toBe("Timed out: Sandbox not available");
    expect(pauses(world)).toEqual([]);
    expectSetFor(await stampOf(world, run.id), HOUR_S);
    await passForCleanups(world, 300);
    await sweep();
    expect(pauses(world)).toEqual([run.sandboxId]);
    expect(deletions(world)).toEqual([]);
  });

  it("tries to pause it at once where it is not spared at all", async () => {
    const run = await world.seed({}, { status: "PAUSED" });
    expect((await sweep(AT_ONCE)).cleanups).toEqual(PENDING);
    expect(pauses(world)).toEqual([run.sandboxId]);
    expect(deletions(world)).toEqual([]);
    expectSetFor(await stampOf(world, run.id), HOUR_S);
  });

  it("is made after WATCHDOG_CLEANUP_DELAY when that is the longer one", async () => {
    const run = await world.seed({}, { status: "ERROR" });
    await sweep({ AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: "60" });
    expectSetFor(await stampOf(world, run.id), 300);
    await passForCleanups(world, 300);
    expect((await sweep()).cleanups).toEqual(DONE);
    expect(pauses(world)).toEqual([]);
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("deletes all the same what could not be paused, and tries that only once", async () => {
    const run = await seedExited();
    world.host.intercept(({ kind }) => (kind === "pause" ? html(500, "Trouble") : undefined));
    await sweep();
    await sweep();
    expect(pauses(world)).toHaveLength(1);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 0 });
    await passForCleanups(world, HOUR_S);
    expect((await sweep()).cleanups).toEqual(DONE);
  });

  it("goes on when the worker ended right after the verdict, and when it ended before the pause", async () => {
    const run = await seedExited();
    await sweepCrashing("before the claim");
    expectSetFor(await stampOf(world, run.id), HOUR_S);
    await sweepCrashing("after the claim");
    expect(pauses(world)).toEqual([]);
    await passForCleanups(world, HOUR_S);
    expect((await sweep()).cleanups).toEqual(DONE);
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("is not made a second time when the host's own watchdog has deleted meanwhile", async () => {
    const run = await seedExited();
    await sweep();
    await passForCleanups(world, HOUR_S);
    world.host.remove(run.sandboxId ?? "");
    await world.database.sql`UPDATE automation_runs SET sandbox_cleanup_due_at = NULL`;
    expect((await sweep()).cleanups).toEqual(NOTHING);
    expect(deletions(world)).toEqual([]);
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "done",
      error: "the host took it over",
    });
  });

  it("keeps the host's own watchdog away while the deletion is on its way, and after a failure", async () => {
    const run = await seedExited();
    await sweep();
    await passForCleanups(world, HOUR_S);
    const stamps: (Stamp | null)[] = [];
    world.host.intercept(async ({ kind }) => {
      if (kind !== "delete") return undefined;
      stamps.push(await stampOf(world, run.id));
      return html(503, "Trouble");
    });
    await sweep();
    expect(stamps).toHaveLength(1);
    expectSetFor(stamps[0] ?? null, 300);
    expect((await stampOf(world, run.id))?.atMostS).toBeGreaterThanOrEqual(330);
  });

  it("is left to the callback that overturns a presumption", async () => {
    const run = await world.seed({}, { status: "ERROR" });
    await sweep();
    await completeRun(world.database.sql, { runId: run.id, status: "COMPLETED" });
    await world.database.sql`
      UPDATE automation_runs SET sandbox_cleanup_due_at = now() + interval '2 hours'`;
    await passForCleanups(world, HOUR_S);
    expect((await sweep()).cleanups).toEqual(NOTHING);
    expect([pauses(world), deletions(world)]).toEqual([[], []]);
    expectSetFor(await stampOf(world, run.id), HOUR_S);
  });

  it("stamps and pauses nothing with keep_alive, nor without a sandbox", async () => {
    const kept = await seedExited({ keepAlive: true });
    const unnamed = await world.seed({ sandboxId: null, bashCommandId: null });
    expect((await sweep(AT_ONCE)).cleanups).toEqual(NOTHING);
    for (const { id } of [kept, unnamed]) expect(await stampOf(world, id)).toBeNull();
    expect([pauses(world), deletions(world)]).toEqual([[], []]);
  });

  it("stamps and pauses nothing where the host has no delay", async () => {
    const run = await seedExited();
    expect((await sweep({ AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: "0" })).cleanups).toEqual(DONE);
    expect([pauses(world), deletions(world)]).toEqual([[], [run.sandboxId]]);
    expect(await stampOf(world, run.id)).toBeNull();
  });

  it("waits as long where the host has no such column, after proofs as well, and pauses nothing", async () => {
    await world.database.sql`ALTER TABLE automation_runs DROP COLUMN sandbox_cleanup_due_at`;
    const run = await seedExited();
    expect((await sweep()).cleanups).toEqual(PENDING);
    const { nextAfterVerdictMs } = await cleanupOf(world, run.id);
    expect(nextAfterVerdictMs).toBe(HOUR_S * 1000);
    expect([pauses(world), deletions(world)]).toEqual([[], []]);
    await world.database.sql`
      UPDATE watchdog.verdicts SET cleanup_next_at = now(), cleanup_due_at = now()`;
    expect((await sweep()).cleanups).toEqual(DONE);
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("waits as long with a backend that cannot pause, and stamps nothing", async () => {
    const env = {
      ...DELAY,
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/{run_id}`,
      WATCHDOG_HTTP_CLEANUP_URL: `${world.host.url}/sandboxes/{sandbox_id}`,
    };
    world.host.intercept(({ path, method }) =>
      method === "GET" && !path.startsWith("/api")
        ? {
            status: 200,
            headers: { "content-type": "application/json" },
            body: '{"state":"succeeded"}',
          }
        : undefined,
    );
    const run = await world.seed();
    expect((await sweep(env)).cleanups).toEqual(PENDING);
    expect(await stampOf(world, run.id)).toBeNull();
    expect((await cleanupOf(world, run.id)).nextAfterVerdictMs).toBe(HOUR_S * 1000);
  });

  function sweep(env: Readonly<Record<string, string>> = DELAY) {
    return world.sweep({ env });
  }

  /** One sweep of a worker that ends there. */
  function sweepCrashing(where: "before the claim" | "after the claim") {
    const crash = () => Promise.reject(new StoreUnavailableError("the process has ended"));
    return world.sweep({
      env: DELAY,
      replace: ({ journal }) => ({
        journal: journalWith(journal, {
          claimCleanups: async (...args) => {
            if (where === "before the claim") return await crash();
            const tasks = await journal.claimCleanups(...args);
            return tasks.length === 0 ? tasks : await crash();
          },
        }),
      }),
    });
  }

  function seedExited(automation: AutomationSeed = {}): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(0, { bashCommandId })];
    return world.seed({ bashCommandId, automation }, { outputs });
  }
});
