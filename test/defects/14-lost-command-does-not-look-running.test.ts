import { expect, it } from "vitest";
import { journal } from "../races/sample-runs.ts";
import { createWorld } from "../support/world/world.ts";

it("a command that died with its agent server ends before the hard deadline, a quiet one is waited for", async () => {
  await using world = await createWorld();
  // The fake host's commands began ten minutes ago.
  const restarted = await world.seed({}, { uptimeS: 60 });
  const forgotten = await world.seed({}, { commands: [] });
  const quiet = await world.seed({}, { uptimeS: 3600 });

  const report = await world.sweep();

  expect(report.counts).toMatchObject({ failed: 2, deferred: 1 });
  expect((await world.row(restarted.id)).error_detail).toBe(
    "Timed out: The agent server restarted after the command began",
  );
  expect((await world.row(forgotten.id)).error_detail).toBe(
    "Timed out: The agent server does not know the command",
  );
  expect(await world.row(quiet.id)).toMatchObject({ status: "RUNNING", error_detail: null });
  expect((await journal(world)).map(({ basis }) => basis)).toEqual(["presumption", "presumption"]);
});
