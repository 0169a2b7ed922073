import { expect, it } from "vitest";
import { journal } from "../races/sample-runs.ts";
import { deletions } from "../support/world/cleanup-rows.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, leadOnce } from "../support/world/world.ts";

const RUNS = 3;

it("workers at the same tick ask, judge and delete once among them", async () => {
  await using world = await createWorld();
  for (let run = 0; run < RUNS; run += 1) await seedExited(world, 1);
  const { promise: held, resolve: answer } = Promise.withResolvers<undefined>();
  world.host.intercept(({ kind }) => (kind === "lookup" ? held : undefined));
  await using one = world.open();
  await using other = world.open();

  const first = leadOnce(one, { trigger: "cron" });
  await world.host.traffic.until("lookup", RUNS);
  expect(await leadOnce(other, { trigger: "cron" })).toMatchObject({ kind: "lease-held" });
  answer(undefined);
  expect(await first).toMatchObject({ kind: "swept", report: { counts: { failed: RUNS } } });
  expect(await leadOnce(other, { trigger: "cron" })).toEqual({ kind: "already-swept" });

  expect(await journal(world)).toHaveLength(RUNS);
  expect(world.host.traffic.of("lookup").seen).toBe(RUNS);
  expect(new Set(deletions(world)).size).toBe(RUNS);
  expect(deletions(world)).toHaveLength(RUNS);
});
