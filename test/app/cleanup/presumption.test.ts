import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { completeRun } from "../../fake-host/callback.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const MINUTE_MS = 60_000;

describe("the clean-up after a presumption", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("waits five minutes from the verdict", async () => {
    const run = await presumeDead();
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "pending",
      attempts: 0,
      nextAfterVerdictMs: 5 * MINUTE_MS,
    });
    await setDueIn(world, run.id, 4 * MINUTE_MS);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    expect(deletions(world)).toEqual([]);
  });

  it("deletes when its time has come", async () => {
    const run = await presumeDead();
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(deletions(world)).toEqual([run.sandboxId]);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "done", attempts: 1 });
  });

  it("waits as long as WATCHDOG_CLEANUP_DELAY says", async () => {
    const run = await presumeDead({ WATCHDOG_CLEANUP_DELAY: "90m" });
    expect(await cleanupOf(world, run.id)).toMatchObject({ nextAfterVerdictMs: 90 * MINUTE_MS });
    expect(deletions(world)).toEqual([]);
  });

  it("deletes in the same sweep without a delay", async () => {
    const run = await presumeDead({ WATCHDOG_CLEANUP_DELAY: "0s" });
    expect(deletions(world)).toEqual([run.sandboxId]);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "done" });
  });

  it("spares the sandbox of a run that a late callback completed", async () => {
    await expectSpared(async ({ id }) => {
      const completion = { runId: id, status: "COMPLETED" } as const;
      const answer = await completeRun(world.database.sql, completion);
      expect(answer).toEqual({ code: 200, reconciled: true });
    });
  });

  it("spares the sandbox of a run that failed for another reason since", async () => {
    await expectSpared(
      ({ id }) => world.database.sql`
        UPDATE automation_runs SET error_detail = 'Execution failed' WHERE id = ${id}`,
    );
  });

  it("spares the sandbox of a run that is RUNNING again", async () => {
    await expectSpared(
      ({ id }) => world.database.sql`
        UPDATE automation_runs SET status = 'RUNNING', timeout_at = now() + interval '1 hour'
        WHERE id = ${id}`,
    );
  });

  it("spares the sandbox that the run no longer names", async () => {
    await expectSpared(
      ({ id }) => world.database.sql`
        UPDATE automation_runs SET sandbox_id = 'another' WHERE id = ${id}`,
    );
  });

  it("spares the sandbox of a run that was removed", async () => {
    await expectSpared(
      ({ id }) => world.database.sql`DELETE FROM automation_runs WHERE id = ${id}`,
    );
  });

  it("spares the sandbox of an automation that keeps it by now", async () => {
    await expectSpared(
      ({ automationId: id }) => world.database.sql`
        UPDATE automations SET keep_alive = true WHERE id = ${id}`,
    );
  });

  it("deletes the sandbox of an automation that has just been changed otherwise", async () => {
    const run = await presumeDead();
    await world.database.sql`UPDATE automations SET keep_alive = false, name = 'renamed'`;
    await setDueIn(world, run.id);
    await world.sweep();
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("reaches those that are due behind many that are spared", async () => {
    const spared: SeededRun[] = [];
    for (let count = 0; count < 5; count += 1) spared.push(await presumeDead());
    const last = await presumeDead();
    for (const [index, { id }] of spared.entries()) {
      await completeRun(world.database.sql, { runId: id, status: "COMPLETED" });
      await setDueIn(world, id, -MINUTE_MS + index);
    }
    await setDueIn(world, last.id);
    const report = await world.sweep({ env: { WATCHDOG_API_CONCURRENCY: "2" } });
    expect(deletions(world)).toEqual([last.sandboxId]);
    expect(report.cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
  });

  async function expectSpared(change: (run: SeededRun) => PromiseLike<unknown>): Promise<void> {
    const run = await presumeDead();
    await change(run);
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none", error: null });
    await setDueIn(world, run.id);
    await world.sweep();
    expect(deletions(world)).toEqual([]);
  }

  async function presumeDead(env: Readonly<Record<string, string>> = {}): Promise<SeededRun> {
    const run = await world.seed({}, { status: "ERROR" });
    await world.sweep({ env });
    expect(await world.row(run.id)).toMatchObject({
      status: "FAILED",
      error_detail: "Timed out: Sandbox not available",
    });
    return run;
  }
});
