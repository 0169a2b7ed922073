import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Sandbox } from "../../fake-host/model.ts";
import { type SeededAutomation, seedAutomation } from "../../fake-host/seed.ts";
import {
  firstRunStates,
  presetOf,
  setPreset,
  withoutTime,
} from "../../support/world/preset-metadata.ts";
import {
  createWorld,
  exitedWith,
  randomCommandId,
  silentLog,
  type World,
} from "../../support/world/world.ts";

const TEMPLATE = '{"template": {"id": "t1", "version": 3}}';

/** Presumptions count as soon as they are written. */
const AT_ONCE = { WATCHDOG_CLEANUP_DELAY: "0s" };

function mark(status: "success" | "failure", version: unknown = 3): string {
  const stage = status === "success" ? null : "watchdog";
  return JSON.stringify({
    status,
    failure_stage: stage,
    template_version: version,
    recorded_at: "<time>",
  });
}

describe("the first run of an automation made from a template", () => {
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

  it("is recorded as a success when the run is completed", async () => {
    await seedRun({}, 0);
    await world.sweep();
    await expectRecorded(
      `{"template": {"id": "t1", "version": 3}, "first_run": ${mark("success")}}`,
    );
  });

  it("is recorded as a failure when the run's command failed", async () => {
    await seedRun({}, 2);
    await world.sweep();
    await expectRecorded(
      `{"template": {"id": "t1", "version": 3}, "first_run": ${mark("failure")}}`,
    );
  });

  it("is recorded as a failure when the run is presumed dead", async () => {
    await seedRun({ status: "ERROR" }, null);
    await world.sweep({ env: AT_ONCE });
    await expectRecorded(
      `{"template": {"id": "t1", "version": 3}, "first_run": ${mark("failure")}}`,
    );
  });

  it("is recorded with the database's time", async () => {
    await seedRun({}, 0);
    const [before] = await world.database.sql`SELECT now()`;
    await world.sweep();
    const [row] = await world.database.sql`
      SELECT (preset_metadata->'first_run'->>'recorded_at')::timestamptz
             BETWEEN ${before?.["now"]} AND now() AS timely FROM automations`;
    expect(row).toEqual({ timely: true });
  });

  it("is not recorded while the run goes on", async () => {
    await seedRun({}, null);
    await world.sweep();
    expect(await presetOf(world, automation.id)).toEqual({ text: TEMPLATE, touched: false });
  });

  it("is recorded once for two runs of one sweep, with the verdict that came first", async () => {
    const [first, second] = [await seedRun({}, 1), await seedRun({}, 0)];
    let arrived = 0;
    const verdictsSeen = Promise.withResolvers<void>();
    world.host.intercept(async ({ kind, sandboxId }) => {
      if (kind === "delete" && sandboxId === first.sandboxId) verdictsSeen.resolve();
      if (kind === "events" && sandboxId === second.sandboxId) await verdictsSeen.promise;
      if (kind === "events") arrived += 1;
      return undefined;
    });
    await world.sweep();
    expect(arrived).toBe(2);
    await expectRecorded(
      `{"template": {"id": "t1", "version": 3}, "first_run": ${mark("failure")}}`,
      ["done", "done"],
    );
  });

  it("is recorded for each of many automations", async () => {
    for (let count = 0; count < 60; count += 1) {
      const of = await seedAutomation(world.database.sql, {
        presetMetadata: { template: { version: count } },
      });
      await world.seed({ of }, { status: "ERROR" });
    }
    await world.sweep({ env: AT_ONCE });
    expect(
      await world.database.sql`
      SELECT count(*)::int AS marked FROM automations
      WHERE preset_metadata->'first_run'->>'template_version'
            = preset_metadata->'template'->>'version'`,
    ).toEqual([{ marked: 60 }]);
  });

  const kept = [
    { name: "other keys", before: '{"a":[1,{"}":"}"}],"template":{}', version: null },
    { name: "text that only json can hold", before: '{"template":{},"x":"\\u0000\\ud800"' },
    { name: "numbers beyond doubles", before: '{"template":{},"n":12345678901234567890.10' },
    { name: "repeated keys", before: '{"x":1,"template":{},"x":2' },
    { name: "white space and line ends", before: ' {\n\t"template" : {} , "x" : "é😀" \n' },
    { name: "a version that is text", before: '{"template":{"version":"2.0"}', version: "2.0" },
    { name: "a version of null", before: '{"template":{"version":null}', version: null },
    { name: "a template that is no object", before: '{"template":"t1"', version: null },
    { name: "a template of null", before: '{"template":null', version: null },
  ];

  for (const { name, before, version = null } of kept) {
    it(`leaves ${name} to the letter`, async () => {
      await setPreset(world, automation.id, `${before}}\n`);
      await seedRun({}, 0);
      await world.sweep();
      await expectRecorded(`${before}, "first_run": ${mark("success", version)}}\n`);
    });
  }

  const unmarked = [
    { name: "no preset", text: null, state: "none" },
    { name: "a preset without a template", text: '{"name": "x"}', state: "none" },
    { name: "an empty preset", text: "{}", state: "none" },
    { name: "a preset of JSON null", text: "null", state: "none" },
    { name: "a template further down", text: '{"x": {"template": {}}}', state: "done" },
    { name: "a list that holds one", text: '[{"template": {}}]', state: "done" },
    { name: "a text that speaks of one", text: '"\\"template\\""', state: "none" },
    {
      name: "a first run on record",
      text: '{"template": {}, "first_run": {"status": "success"}}',
      state: "done",
    },
    { name: "a first run of null on record", text: '{"template": {}, "first_run": null}' },
  ];

  for (const { name, text, state = "done" } of unmarked) {
    it(`is not recorded with ${name}`, async () => {
      await setPreset(world, automation.id, text);
      await seedRun({}, 0);
      const { counts } = await world.sweep();
      expect(counts.completed).toBe(1);
      expect(await presetOf(world, automation.id)).toEqual({ text, touched: false });
      expect(await firstRunStates(world)).toEqual([state]);
    });
  }

  it("is not recorded where the host has no column preset_metadata", async () => {
    const run = await seedRun({}, 0);
    await world.database.sql`ALTER TABLE automations DROP COLUMN preset_metadata`;
    const warnings: string[] = [];
    const warn = (_: object, message: string) => void warnings.push(message);
    const log = { ...silentLog, warn: warn, error: warn };
    const report = await world.sweep({ replace: () => ({ log }) });
    expect(report).toMatchObject({ status: "ok", counts: { completed: 1 } });
    expect(warnings).toEqual([]);
    expect(await firstRunStates(world)).toEqual(["none"]);
    expect((await world.row(run.id)).status).toBe("COMPLETED");
  });

  it("is recorded where the host has no column updated_at", async () => {
    await seedRun({}, 0);
    await world.database.sql`ALTER TABLE automations DROP COLUMN updated_at`;
    await world.sweep();
    const [row] = await world.database
      .sql`SELECT preset_metadata->'first_run' AS mark FROM automations`;
    expect(row?.["mark"]).toMatchObject({ status: "success", template_version: 3 });
  });

  /** @param exitCode `null`: the command has left nothing. */
  function seedRun(sandbox: Partial<Sandbox>, exitCode: number | null) {
    const bashCommandId = randomCommandId();
    const outputs = exitCode === null ? [] : [exitedWith(exitCode, { bashCommandId })];
    return world.seed({ of: automation, bashCommandId }, { outputs, ...sandbox });
  }

  async function expectRecorded(text: string, states: readonly string[] = ["done"]) {
    const preset = await presetOf(world, automation.id);
    expect({ ...preset, text: withoutTime(preset.text) }).toEqual({ text, touched: true });
    expect(await firstRunStates(world)).toEqual(states);
  }
});
