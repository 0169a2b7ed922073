import { expect, it } from "vitest";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

const HOUR_MS = 3_600_000;

it("a run without a deadline is looked at a day after its start, and not before", async () => {
  await using world = await createWorld();
  const [old, young] = [await seed(24 * HOUR_MS + 1000), await seed(24 * HOUR_MS - 60_000)];

  const report = await world.sweep();

  expect(report.runs.map(({ runId }) => runId)).toEqual([old]);
  expect(await world.row(old)).toMatchObject({ status: "COMPLETED" });
  expect(await world.row(young)).toMatchObject({ status: "RUNNING", timeout_at: null });

  async function seed(startedAgoMs: number): Promise<string> {
    const bashCommandId = randomCommandId();
    const outputs = [exitedWith(0, { bashCommandId })];
    return (await world.seed({ bashCommandId, startedAgoMs, timeoutAt: null }, { outputs })).id;
  }
});
