import { expect, it } from "vitest";
import { createWorld, exitedWith, randomCommandId } from "../support/world/world.ts";

it("a run that names no command is not judged by the exit code of another one", async () => {
  await using world = await createWorld();
  const other = { bashCommandId: randomCommandId() };
  const outputs = [exitedWith(0, other)];
  const nameless = await world.seed({ bashCommandId: null }, { outputs });
  const named = await world.seed({}, { outputs });

  const report = await world.sweep();

  expect(report.counts).toMatchObject({ deferred: 2, completed: 0, failed: 0 });
  for (const { id } of [nameless, named]) {
    expect(await world.row(id)).toMatchObject({ status: "RUNNING", completed_at: null });
  }
  const searched = world.host.requests.filter(({ kind }) => kind === "events");
  expect(searched.map(({ query }) => query.get("command_id__eq"))).toEqual([named.bashCommandId]);
});
