import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { completeRun } from "../../fake-host/callback.ts";
import { type SeededRun, seedAutomation, seedRun } from "../../fake-host/seed.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import {
  commandsOf,
  createWorld,
  exitedWith,
  leadOnce,
  type World,
} from "../../support/world/world.ts";

const SHARED = "shared-sandbox";

describe("a sandbox that several runs name", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("is deleted once when all of them have ended", async () => {
    const runs = await seedSharing(3);
    // The first of them to end may find the others still RUNNING.
    expect((await world.sweep()).counts.completed).toBe(3);
    for (const { id } of runs) {
      if ((await cleanupOf(world, id)).state === "pending") await setDueIn(world, id);
    }
    expect((await world.sweep()).cleanups.pending).toBe(0);
    expect(deletions(world)).toEqual([SHARED]);
    for (const { id } of runs) {
      expect(await cleanupOf(world, id)).toMatchObject({ state: "done", nextInMs: null });
    }
  });

  it("stays while one of them is RUNNING, and no attempt is counted", async () => {
    const [ended, running] = await seedSharing(2);
    if (!(ended && running)) throw new Error("a run is missing");
    await world.sweep({ runIds: [ended.id] });
    expect((await world.row(ended.id)).status).toBe("COMPLETED");
    expect(await cleanupOf(world, ended.id)).toMatchObject({ state: "pending", attempts: 0 });
    expect(deletions(world)).toEqual([]);

    await completeRun(world.database.sql, { runId: running.id, status: "COMPLETED" });
    await setDueIn(world, ended.id);
    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(deletions(world)).toEqual([SHARED]);
  });

  it("is not asked for again by another worker, and another verdict, while its deletion is on its way", async () => {
    const [first, second] = await seedSharing(2);
    if (!(first && second)) throw new Error("a run is missing");
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    world.host.intercept(async ({ kind }) => {
      if (kind === "delete") await released;
      return undefined;
    });
    await using slow = world.open();
    await world.database.sql`
      UPDATE automation_runs SET sandbox_id = NULL WHERE id = ${second.id}`;
    const sweeping = leadOnce(slow, { runIds: [first.id] });
    await world.host.traffic.until("delete", 1);
    await world.database.sql`
      UPDATE automation_runs SET sandbox_id = ${SHARED} WHERE id = ${second.id}`;
    await world.database.sql`
      UPDATE watchdog.leadership SET lease_expires_at = now() - interval '1 second'`;

    expect(await world.sweep()).toMatchObject({
      counts: { completed: 1 },
      cleanups: { done: 0, pending: 2, abandoned: 0 },
    });
    expect(await cleanupOf(world, second.id)).toMatchObject({ state: "pending", attempts: 0 });
    release();
    await sweeping;
    expect(deletions(world)).toEqual([SHARED]);
  });

  /** Their commands have exited, one beside the other. */
  async function seedSharing(count: number): Promise<readonly SeededRun[]> {
    const { sql } = world.database;
    const of = await seedAutomation(sql);
    const runs: SeededRun[] = [];
    for (let index = 0; index < count; index += 1) {
      runs.push(await seedRun(sql, { of, sandboxId: SHARED }));
    }
    const { userId, orgId } = of;
    const commands = runs.flatMap(commandsOf);
    const outputs = runs.map((run) => exitedWith(0, run));
    world.host.addSandbox({ id: SHARED, userId, orgId, commands, outputs });
    return runs;
  }
});
