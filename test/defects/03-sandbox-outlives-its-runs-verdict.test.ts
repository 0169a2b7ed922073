import { expect, it } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import { atPoint } from "../races/interleavings.ts";
import { pauseCommits } from "../races/paused-commit.ts";
import { journal } from "../races/sample-runs.ts";
import { deletions } from "../support/world/cleanup-rows.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

it("nothing is deleted before the verdict has committed", async () => {
  await using world = await createWorld();
  const run = await seedExited(world, 1);
  await using commits = await pauseCommits(world.database);
  const sweeping = world.sweep();
  await commits.waiting(1);
  expect(world.host.traffic.of("delete").seen).toBe(0);
  await commits.release();
  await sweeping;
  expect(deletions(world)).toEqual([run.sandboxId]);
});

it("nothing is deleted for a verdict that somebody else's came before", async () => {
  await using world = await createWorld();
  const { id } = await seedExited(world, 1);
  const callback = { runId: id, status: "FAILED", error: "said the callback" } as const;
  const interfere = () => completeRun(world.database.sql, callback);
  const report = await world.sweep({
    replace: atPoint("between the answer and the write", interfere),
  });
  expect(report.counts).toMatchObject({ lostRace: 1, failed: 0 });
  expect(await journal(world)).toEqual([]);
  // The host deletes the sandboxes of its own callbacks.
  expect(deletions(world)).toEqual([]);
});
