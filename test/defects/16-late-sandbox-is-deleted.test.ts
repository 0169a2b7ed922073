import { expect, it } from "vitest";
import { completeRun, dispatchPhaseTwo } from "../fake-host/callback.ts";
import { deletions, setDueIn } from "../support/world/cleanup-rows.ts";
import { createWorld } from "../support/world/world.ts";

it("a sandbox that its run names after it was given up is deleted, although the failure is reported late", async () => {
  await using world = await createWorld();
  const { sql } = world.database;
  const run = await world.seed({ sandboxId: null, bashCommandId: null });
  expect((await world.sweep()).counts).toMatchObject({ failed: 1 });

  const { userId, orgId, id: runId } = run;
  const { id: sandboxId } = world.host.addSandbox({ userId, orgId });
  await dispatchPhaseTwo(sql, { runId, sandboxId, bashCommandId: "0".repeat(32) });
  expect(await completeRun(sql, { runId, status: "FAILED" })).toMatchObject({ code: 409 });
  expect((await world.sweep()).cleanups).toMatchObject({ pending: 1 });
  // Until then a late success may still overturn the verdict.
  expect(deletions(world)).toEqual([]);

  await setDueIn(world, runId);
  expect((await world.sweep()).cleanups).toMatchObject({ done: 1, pending: 0 });
  expect(deletions(world)).toEqual([sandboxId]);
});
