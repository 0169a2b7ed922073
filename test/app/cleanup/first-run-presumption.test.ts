import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { completeRun } from "../../fake-host/callback.ts";
import { type SeededAutomation, type SeededRun, seedAutomation } from "../../fake-host/seed.ts";
import { journalWith } from "../../support/stands/journal-double.ts";
import { firstRunStates, presetOf, setPreset } from "../../support/world/preset-metadata.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const TEMPLATE = '{"template": {"version": 3}}';
const BY_HOST = '{"template": {"version": 3}, "first_run": {"status": "success"}}';
const DELAY_S = 300;

/** Until the clean-up delay is over, a late callback may show that there was no failure at all. */
describe("the first run that is only presumed to have failed", () => {
  let world: World;
  let automation: SeededAutomation;

  beforeEach(async () => {
    world = await createWorld();
    automation = await seedAutomation(world.database.sql);
    await setPreset(world, automation.id, TEMPLATE);
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("is recorded when the clean-up delay is over, and not half a minute before", async () => {
    await presumeDead();
    await expectOpen();
    await age(DELAY_S - 30);
    await world.sweep();
    await expectOpen();
    await age(30);
    await world.sweep();
    expect(await status()).toBe("failure");
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("waits as long as WATCHDOG_CLEANUP_DELAY says", async () => {
    const env = { WATCHDOG_CLEANUP_DELAY: "2h" };
    await presumeDead(env);
    await age(DELAY_S);
    await world.sweep({ env });
    await expectOpen();
    await world.sweep();
    expect(await status()).toBe("failure");
  });

  it("is not recorded at all when a callback overturns it during the delay", async () => {
    const run = await presumeDead();
    await overturn(run);
    await age(DELAY_S);
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["none"]);
  });

  it("stays as the host recorded it with the callback that overturned it", async () => {
    const run = await presumeDead();
    await overturn(run);
    await setPreset(world, automation.id, BY_HOST);
    await age(DELAY_S);
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: BY_HOST, touched: false });
  });

  it("stays as the host recorded it for another run meanwhile", async () => {
    await presumeDead();
    await setPreset(world, automation.id, BY_HOST);
    await age(DELAY_S);
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: BY_HOST, touched: false });
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("is not recorded while a callback is about to overturn it, and not after that", async () => {
    const run = await presumeDead();
    await age(DELAY_S);
    const answer = await completeRun(world.database.sql, {
      runId: run.id,
      status: "COMPLETED",
      hold: async () => {
        await world.sweep();
        await expectOpen();
      },
    });
    expect(answer).toEqual({ code: 200, reconciled: true });
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["none"]);
  });

  it("is not recorded when it is overturned between reading and writing", async () => {
    const run = await presumeDead();
    await age(DELAY_S);
    await world.sweep({
      replace: ({ journal }) => ({
        journal: journalWith(journal, {
          openFirstRuns: async (...args) => {
            const tasks = await journal.openFirstRuns(...args);
            if (tasks.length > 0) await overturn(run);
            return tasks;
          },
        }),
      }),
    });
    await expectOpen();
    await world.sweep();
    expect(await firstRunStates(world)).toEqual(["none"]);
  });

  it("comes before a later run's proof, which waits for it", async () => {
    await presumeDead();
    await prove(0);
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["pending", "pending"]);
    await age(DELAY_S);
    await world.sweep();
    expect(await status()).toBe("failure");
    expect(await firstRunStates(world)).toEqual(["done", "done"]);
  });

  it("gives way to a later run's proof when it is overturned, at once", async () => {
    const run = await presumeDead();
    await prove(0);
    await overturn(run);
    await world.sweep();
    expect(await status()).toBe("success");
    expect(await firstRunStates(world)).toEqual(["none", "done"]);
  });

  it("comes after an earlier run's proof, although that was recorded late", async () => {
    await world.database.sql.begin(async (transaction) => {
      await transaction`SELECT FROM automations WHERE id = ${automation.id} FOR NO KEY UPDATE`;
      await prove(0);
    });
    await presumeDead();
    await age(DELAY_S);
    await world.sweep();
    expect(await status()).toBe("success");
    expect(await firstRunStates(world)).toEqual(["done", "done"]);
  });

  it("is not recorded when its run was removed", async () => {
    const run = await presumeDead();
    await world.database.sql`DELETE FROM automation_runs WHERE id = ${run.id}`;
    await age(DELAY_S);
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["none"]);
  });

  it("stays recorded when a callback comes after the delay", async () => {
    const run = await presumeDead();
    await age(DELAY_S);
    await world.sweep();
    await overturn(run);
    await world.sweep();
    expect(await status()).toBe("failure");
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  async function presumeDead(env: Readonly<Record<string, string>> = {}): Promise<SeededRun> {
    const run = await world.seed({ of: automation }, { status: "ERROR" });
    const { counts } = await world.sweep({ env });
    expect(counts.failed).toBe(1);
    return run;
  }

  async function prove(exitCode: number): Promise<void> {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(exitCode, { bashCommandId })];
    await world.seed({ of: automation, bashCommandId }, { outputs });
    expect((await world.sweep()).counts.completed).toBe(1);
  }

  async function overturn({ id: runId }: SeededRun): Promise<void> {
    const answer = await completeRun(world.database.sql, { runId, status: "COMPLETED" });
    expect(answer).toEqual({ code: 200, reconciled: true });
  }

  /** Lets so many seconds go by since all verdicts. */
  async function age(seconds: number): Promise<void> {
    await world.database.sql`
      UPDATE watchdog.verdicts SET decided_at = decided_at - ${seconds}::float8 * interval '1 second'`;
  }

  async function status(): Promise<unknown> {
    const { text } = await presetOf(world, automation.id);
    return JSON.parse(text ?? "null").first_run?.status;
  }

  async function expectOpen(): Promise<void> {
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["pending"]);
  }
});
