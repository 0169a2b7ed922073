import { expect, it } from "vitest";
import { seedAutomation } from "../fake-host/seed.ts";
import { createWorld, leadOnce } from "../support/world/world.ts";

const RUNS = 5;

it("an owner's key is minted for the first run and used for all the others, in later sweeps as well", async () => {
  await using world = await createWorld();
  const { sql } = world.database;
  const owners = [await seedAutomation(sql), await seedAutomation(sql)];
  await using worker = world.open();
  for (const sweep of [1, 2]) {
    for (const of of owners) for (let run = 0; run < RUNS; run += 1) await world.seed({ of });
    expect(await leadOnce(worker)).toMatchObject({
      kind: "swept",
      report: { counts: { deferred: RUNS * owners.length } },
    });
    const lookups = world.host.requests.filter(({ kind }) => kind === "lookup");
    const asked = lookups.flatMap(({ sandboxIds }) => sandboxIds);
    expect(asked).toHaveLength(sweep * RUNS * owners.length);
    expect(world.host.traffic.of("mint").seen).toBe(owners.length);
  }
});
