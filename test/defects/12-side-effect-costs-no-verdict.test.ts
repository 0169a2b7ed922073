import { expect, it } from "vitest";
import { journal } from "../races/sample-runs.ts";
import { firstRunStates, presetOf, setPreset } from "../support/world/preset-metadata.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

it("a first run that cannot be recorded takes neither the verdict nor the clean-up with it", async () => {
  await using world = await createWorld();
  const { sql } = world.database;
  const run = await seedExited(world, 0);
  await setPreset(world, run.automationId, '{"template": {"version": 3}}');
  await sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON automations
      FOR EACH ROW EXECUTE FUNCTION refuse();`);

  const report = await world.sweep();
  expect(report.counts).toMatchObject({ completed: 1, errors: 0 });
  expect(report.cleanups).toMatchObject({ done: 1 });
  expect((await world.row(run.id)).status).toBe("COMPLETED");
  expect(await journal(world)).toHaveLength(1);
  expect(await firstRunStates(world)).toEqual(["pending"]);

  await sql.unsafe("DROP TRIGGER refuse ON automations");
  await world.sweep();
  expect(await firstRunStates(world)).toEqual(["done"]);
  expect((await presetOf(world, run.automationId)).text).toContain('"status":"success"');
});
