import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { completeRun, dispatchPhaseTwo } from "../../fake-host/callback.ts";
import type { AutomationSeed, SeededRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const MINUTE_MS = 60_000;
const NOTHING = { done: 0, pending: 0, abandoned: 0 };

/** The dispatcher was still getting the sandbox ready when the run was given up, and names it afterwards. */
describe("a sandbox that is named after its run was presumed dead", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("is deleted after the delay that follows any presumption", async () => {
    const { run, sandboxId } = await presumedThenNamed();
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    const scheduled = await cleanupOf(world, run.id);
    expect(scheduled).toMatchObject({ state: "pending", attempts: 0 });
    expect(scheduled.nextInMs).toBeGreaterThan(4 * MINUTE_MS);
    expect(scheduled.nextInMs).toBeLessThanOrEqual(5 * MINUTE_MS);
    expect(deletions(world)).toEqual([]);

    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(deletions(world)).toEqual([sandboxId]);
    expect(world.host.sandbox(sandboxId)).toBeUndefined();
  });

  it("is spared when the run reports success during the delay", async () => {
    const { run } = await presumedThenNamed();
    await world.sweep();
    const late = { runId: run.id, status: "COMPLETED" } as const;
    expect(await completeRun(world.database.sql, late)).toEqual({ code: 200, reconciled: true });
    await expectNothing(run);
  });

  it("is spared when keep_alive is switched on during the delay", async () => {
    const { run } = await presumedThenNamed();
    await world.sweep();
    await world.database
      .sql`UPDATE automations SET keep_alive = true WHERE id = ${run.automationId}`;
    await expectNothing(run);
  });

  it("is left alone when the run had reported success before anybody looked", async () => {
    const { run } = await presumedThenNamed();
    await completeRun(world.database.sql, { runId: run.id, status: "COMPLETED" });
    await expectNothing(run);
  });

  it("is left alone with keep_alive", async () => {
    const { run } = await presumedThenNamed({ keepAlive: true });
    await expectNothing(run);
  });

  it("is left alone when it is named more than an hour after the verdict", async () => {
    const { run } = await presumedThenNamed();
    await world.database.sql`
      UPDATE watchdog.verdicts SET decided_at = now() - interval '1 hour 1 second'`;
    await expectNothing(run);
  });

  it("is left alone where the backend cannot delete", async () => {
    const { run } = await presumedThenNamed();
    const env = {
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${world.host.url}/{run_id}`,
    };
    expect((await world.sweep({ env })).cleanups).toEqual(NOTHING);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none" });
  });

  async function presumedThenNamed(automation: AutomationSeed = {}) {
    const run = await world.seed({ automation, sandboxId: null, bashCommandId: null });
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    expect((await world.row(run.id)).error_detail).toMatch(/^Timed out: /);
    const { userId, orgId } = run;
    const { id: sandboxId } = world.host.addSandbox({ userId, orgId });
    await dispatchPhaseTwo(world.database.sql, { runId: run.id, sandboxId, bashCommandId: "c" });
    return { run, sandboxId };
  }

  /** However often it is swept, and although it would be due. */
  async function expectNothing(run: SeededRun): Promise<void> {
    for (let sweeps = 0; sweeps < 2; sweeps += 1) {
      await world.database.sql`
        UPDATE watchdog.verdicts SET cleanup_next_at = now() WHERE cleanup_state = 'pending'`;
      expect((await world.sweep()).cleanups).toEqual(NOTHING);
    }
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none" });
    expect(deletions(world)).toEqual([]);
  }
});
