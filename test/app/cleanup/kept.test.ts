import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { html } from "../../fake-host/model.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import {
  cleanupOf,
  deletions,
  passForCleanups,
  pauses,
  setDueIn,
  stampOf,
} from "../../support/world/cleanup-rows.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const HOUR_S = 3600;
const DELAY = { AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: String(HOUR_S) };
const NOTHING = { done: 0, pending: 0, abandoned: 0 };

describe("keep_alive that is switched on", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  for (const env of [{}, DELAY]) {
    const how = env === DELAY ? ", stamped or not" : "";
    it(`while the sandbox is asked keeps it after a proof${how}`, async () => {
      const run = await seedExited();
      world.host.intercept(async ({ kind }) => {
        if (kind === "events") await keep(true);
        return undefined;
      });
      const report = await world.sweep({ env });
      expect(report).toMatchObject({ counts: { completed: 1 }, cleanups: NOTHING });
      await expectKept(run);
    });
  }

  it("while a deletion after a proof is tried again keeps the sandbox", async () => {
    const run = await seedExited();
    world.host.intercept(({ kind }) => (kind === "delete" ? html(503, "Trouble") : undefined));
    await world.sweep();
    expect(deletions(world)).toHaveLength(1);
    await keep(true);
    await setDueIn(world, run.id);
    expect((await world.sweep()).cleanups).toEqual(NOTHING);
    expect(deletions(world)).toHaveLength(1);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none" });
  });

  it("between pause and deletion keeps the sandbox, and takes the stamp away from the host", async () => {
    const run = await seedExited();
    await world.sweep({ env: DELAY });
    expect(pauses(world)).toHaveLength(1);
    await keep(true);
    await passForCleanups(world, HOUR_S);
    expect((await world.sweep({ env: DELAY })).cleanups).toEqual(NOTHING);
    expect(await stampOf(world, run.id)).toBeNull();
    expect(deletions(world)).toEqual([]);
  });

  it("and off again before the deletion is due keeps nothing", async () => {
    const run = await seedExited();
    await world.sweep({ env: DELAY });
    await keep(true);
    await world.sweep({ env: DELAY });
    await keep(false);
    await passForCleanups(world, HOUR_S);
    await world.sweep({ env: DELAY });
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("is read where the run is gone as well", async () => {
    const run = await seedExited();
    await world.sweep({ env: DELAY });
    await world.database.sql`DELETE FROM automation_runs`;
    await keep(true);
    await passForCleanups(world, HOUR_S);
    expect((await world.sweep({ env: DELAY })).cleanups).toEqual(NOTHING);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none" });
    expect(deletions(world)).toEqual([]);
  });

  function keep(value: boolean) {
    return world.database.sql`UPDATE automations SET keep_alive = ${value}`;
  }

  async function expectKept(run: SeededRun): Promise<void> {
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "none", attempts: 0 });
    expect(await stampOf(world, run.id)).toBeNull();
    expect([pauses(world), deletions(world)]).toEqual([[], []]);
    expect(world.host.sandbox(run.sandboxId ?? "")?.status).toBe("RUNNING");
  }

  function seedExited(): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    return world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
  }
});
