import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cancelRun, completeRun } from "../../fake-host/callback.ts";
import type { RunSeed, SeededRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions } from "../../support/world/cleanup-rows.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

describe("the clean-up after a proof", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("deletes the sandbox once, when the verdict has been committed", async () => {
    const run = await seedExited(3);
    const seen: unknown[] = [];
    world.host.intercept(async ({ kind }) => {
      if (kind !== "delete") return undefined;
      seen.push(
        ...(await world.database.sql`
          SELECT r.status, r.completed_at IS NOT NULL AS completed, v.cleanup_state, v.cleanup_attempts
          FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id`),
      );
      return undefined;
    });
    const report = await world.sweep();
    expect(seen).toEqual([
      { status: "FAILED", completed: true, cleanup_state: "pending", cleanup_attempts: 1 },
    ]);
    expect(report.cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "done",
      attempts: 1,
      error: null,
      nextInMs: null,
    });
    expect(world.host.sandbox(run.sandboxId ?? "")).toBeUndefined();

    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 0, abandoned: 0 });
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("uses the user's own key, and names the sandbox in path and query", async () => {
    const run = await seedExited(0);
    await world.sweep();
    const [lookup, remove] = ["lookup", "delete"].map((wanted) =>
      world.host.requests.find(({ kind }) => kind === wanted),
    );
    expect(remove?.path).toBe(`/api/v1/sandboxes/${run.sandboxId}`);
    expect(remove?.query.getAll("sandbox_id")).toEqual([run.sandboxId]);
    expect(remove?.headers.authorization).toMatch(/^Bearer sk-oh-/);
    expect(remove?.headers.authorization).toBe(lookup?.headers.authorization);
  });

  it("deletes each sandbox of many runs once", async () => {
    const runs: SeededRun[] = [];
    for (let count = 0; count < 20; count += 1) runs.push(await seedExited(0));
    const report = await world.sweep({ env: { WATCHDOG_API_CONCURRENCY: "3" } });
    expect(report.cleanups).toEqual({ done: 20, pending: 0, abandoned: 0 });
    expect(deletions(world).toSorted()).toEqual(runs.map(({ sandboxId }) => sandboxId).toSorted());
    expect(world.host.traffic.of("delete").peak).toBeLessThanOrEqual(3);
  });

  for (const keepAlive of [false, null]) {
    it(`deletes with keep_alive ${keepAlive}`, async () => {
      const run = await seedExited(0, { automation: { keepAlive } });
      await world.sweep();
      expect(deletions(world)).toEqual([run.sandboxId]);
    });
  }

  it("keeps the sandbox with keep_alive true", async () => {
    const run = await seedExited(0, { automation: { keepAlive: true } });
    const report = await world.sweep();
    expect(report.counts.completed).toBe(1);
    expect(report.cleanups).toEqual({ done: 0, pending: 0, abandoned: 0 });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none", nextInMs: null });
    expect(deletions(world)).toEqual([]);
  });

  it("deletes where the host has no column keep_alive", async () => {
    await world.database.sql`ALTER TABLE automations DROP COLUMN keep_alive`;
    const { sql } = world.database;
    const bashCommandId = randomCommandId();
    const [owner] = await sql<{ user_id: string; org_id: string; id: string }[]>`
      INSERT INTO automations (id, user_id, org_id, name, trigger, tarball_path, entrypoint)
      VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'old', '{}', 't', 'e')
      RETURNING id, user_id, org_id`;
    const of = {
      id: owner?.id ?? "",
      userId: owner?.user_id ?? "",
      orgId: owner?.org_id ?? "",
    };
    const outputs = [exitedWith(0, { bashCommandId })];
    const run = await world.seed({ of, bashCommandId }, { outputs });
    await world.sweep();
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("deletes nothing when the run was cancelled while its sandbox was asked", async () => {
    await expectNothingAfter((runId) => cancelRun(world.database.sql, runId));
  });

  it("deletes nothing when the callback came while its sandbox was asked", async () => {
    await expectNothingAfter((runId) =>
      completeRun(world.database.sql, { runId, status: "COMPLETED" }),
    );
  });

  it("deletes nothing of a run that a partial sweep left out", async () => {
    const [swept, other] = [await seedExited(0), await seedExited(0)];
    await world.sweep({ runIds: [swept.id] });
    expect(deletions(world)).toEqual([swept.sandboxId]);
    expect((await world.row(other.id)).status).toBe("RUNNING");
  });

  async function expectNothingAfter(change: (runId: string) => Promise<unknown>): Promise<void> {
    const run = await seedExited(0);
    world.host.intercept(async ({ kind }) => {
      if (kind === "events") await change(run.id);
      return undefined;
    });
    const report = await world.sweep();
    expect(report.runs).toMatchObject([{ runId: run.id, action: "lost-race" }]);
    expect(deletions(world)).toEqual([]);
    expect(await world.database.sql`SELECT FROM watchdog.verdicts`).toHaveLength(0);
  }

  function seedExited(code: number, run: RunSeed = {}): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(code, { bashCommandId })];
    return world.seed({ bashCommandId, ...run }, { outputs });
  }
});
