import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { Journal } from "../../../src/watchdog/journal-ports.ts";
import { type SeededAutomation, seedRuns } from "../../fake-host/seed.ts";
import { journalWith } from "../../support/stands/journal-double.ts";
import { firstRunStates, presetOf, setPreset } from "../../support/world/preset-metadata.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const TEMPLATE = '{"template": {"version": 3}}';

describe("recording a first run", () => {
  let world: World;
  let automationId: string;

  beforeEach(async () => {
    world = await createWorld();
    const bashCommandId = randomCommandId();
    const run = await world.seed(
      { bashCommandId },
      { outputs: [exitedWith(0, { bashCommandId })] },
    );
    automationId = run.automationId;
    await setPreset(world, automationId, TEMPLATE);
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("reads again when somebody wrote in between, and loses nothing of that", async () => {
    const written = '{"template": {"version": 4}, "renamed": true}';
    let writes = 0;
    await sweepWith((journal) => ({
      openFirstRuns: async (...args) => {
        const tasks = await journal.openFirstRuns(...args);
        if (tasks.length > 0 && writes === 0) {
          writes += 1;
          await setPreset(world, automationId, written);
        }
        return tasks;
      },
    }));
    await world.sweep();
    expect(writes).toBe(1);
    expect(await storedPreset()).toMatchObject({
      template: { version: 4 },
      renamed: true,
      first_run: { status: "success", template_version: 4 },
    });
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("leaves the preset alone when it changed in between, and the verdict open", async () => {
    const written = '{"template": {"version": 4}}';
    await sweepWith((journal) => ({
      openFirstRuns: async (...args) => {
        const tasks = await journal.openFirstRuns(...args);
        await setPreset(world, automationId, written);
        return tasks.map((task) => ({ ...task, metadata: TEMPLATE }));
      },
    }));
    expect(await presetOf(world, automationId)).toEqual({ text: written, touched: false });
    expect(await firstRunStates(world)).toEqual(["pending"]);
  });

  it("gives way to a first run that somebody else recorded in between", async () => {
    const recorded = '{"template": {"version": 3}, "first_run": {"status": "failure"}}';
    await sweepWith((journal) => ({
      openFirstRuns: async (...args) => {
        const tasks = await journal.openFirstRuns(...args);
        if (tasks.length > 0) await setPreset(world, automationId, recorded);
        return tasks;
      },
    }));
    await world.sweep();
    expect(await presetOf(world, automationId)).toEqual({ text: recorded, touched: false });
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("does not wait for a locked automation, and is done in a later sweep", async () => {
    await world.database.sql.begin(async (transaction) => {
      await transaction`SELECT FROM automations WHERE id = ${automationId} FOR UPDATE`;
      const report = await world.sweep();
      expect(report).toMatchObject({ status: "ok", counts: { completed: 1 } });
      expect(report.cleanups.done).toBe(1);
    });
    expect(await presetOf(world, automationId)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["pending"]);

    await world.sweep();
    expect(await storedPreset()).toMatchObject({ first_run: { status: "success" } });
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("is not held up by more locked automations than are read at once", async () => {
    const seeds = Array.from({ length: 50 }, () => ({
      sandboxId: null,
      automation: { presetMetadata: { template: {} } },
    }));
    await seedRuns(world.database.sql, seeds);
    const all = await world.database.sql<{ id: string }[]>`SELECT id FROM automations ORDER BY id`;
    const last = all.at(-1)?.id ?? "";
    await world.database.sql.begin(async (transaction) => {
      await transaction`SELECT FROM automations WHERE id <> ${last} FOR UPDATE`;
      const { counts } = await world.sweep({ env: { WATCHDOG_CLEANUP_DELAY: "0s" } });
      expect(counts).toMatchObject({ completed: 1, failed: 50 });
    });
    const marked = await world.database.sql`
      SELECT id FROM automations WHERE preset_metadata->'first_run' IS NOT NULL`;
    expect(marked).toEqual([{ id: last }]);
  });

  it("is made by the next sweep when the worker ended right after the verdict", async () => {
    await sweepWith(() => ({ openFirstRuns: crash }));
    expect(await firstRunStates(world)).toEqual(["pending"]);
    await world.sweep();
    expect(await storedPreset()).toMatchObject({ first_run: { status: "success" } });
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("is made once when the worker ended before it could note that", async () => {
    await sweepWith(() => ({ firstRunDone: crash }));
    const recorded = await presetOf(world, automationId);
    expect(recorded.touched).toBe(true);
    expect(await firstRunStates(world)).toEqual(["pending"]);

    await world.sweep();
    expect(await presetOf(world, automationId)).toEqual(recorded);
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  it("is not made by a worker whose epoch has passed", async () => {
    const report = await sweepWith((journal) => ({
      recordFirstRun: async (...args) => {
        await world.database.sql`UPDATE watchdog.leadership SET epoch = epoch + 1`;
        return journal.recordFirstRun(...args);
      },
    }));
    expect(report.status).toBe("error");
    expect(await presetOf(world, automationId)).toEqual({ text: TEMPLATE, touched: false });
    expect(await firstRunStates(world)).toEqual(["pending"]);
  });

  it("takes the oldest of several verdicts", async () => {
    const [of] = await world.database.sql<SeededAutomation[]>`
      SELECT id, user_id AS "userId", org_id AS "orgId" FROM automations`;
    await sweepWith(() => ({ openFirstRuns: crash }));
    if (of !== undefined) await world.seed({ of }, { status: "ERROR" });
    await sweepWith(() => ({ openFirstRuns: crash }));
    expect(await firstRunStates(world)).toEqual(["pending", "pending"]);

    await world.sweep();
    expect(await storedPreset()).toMatchObject({ first_run: { status: "success" } });
    expect(await firstRunStates(world)).toEqual(["done", "done"]);
  });

  it("is done for an automation that was removed", async () => {
    await sweepWith(() => ({ openFirstRuns: crash }));
    await world.database.sql`DELETE FROM automations WHERE id = ${automationId}`;
    expect((await world.sweep()).status).toBe("ok");
    expect(await firstRunStates(world)).toEqual(["done"]);
  });

  /** One sweep whose journal does something else somewhere. */
  function sweepWith(methods: (journal: Journal) => Partial<Journal>) {
    return world.sweep({
      replace: ({ journal }) => ({ journal: journalWith(journal, methods(journal)) }),
    });
  }

  async function storedPreset(): Promise<unknown> {
    return JSON.parse((await presetOf(world, automationId)).text ?? "null");
  }
});

async function crash(): Promise<never> {
  throw new StoreUnavailableError("the process has ended");
}
