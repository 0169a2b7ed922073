import { expect, it } from "vitest";
import { JSON_TYPE } from "../fake-host/model.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const MIB = 1024 * 1024;
/** The longest answer that is legal, and what the sockets between may hold. */
const AT_MOST_MIB = 16 + 16;

it("an answer without an end is given up while it is short, and the run stays RUNNING", async () => {
  await using world = await createWorld();
  const flooded = await world.seed();
  await seedExited(world, 0);
  let sentMib = 0;
  async function* flood(): AsyncGenerator<string> {
    yield '{"items":[{"stdout":"';
    const chunk = "x".repeat(MIB);
    while (true) {
      yield chunk;
      sentMib += 1;
      if (sentMib > 10 * AT_MOST_MIB) return;
    }
  }
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "events" && sandboxId === flooded.sandboxId
      ? { status: 200, headers: JSON_TYPE, body: flood() }
      : undefined,
  );

  const report = await world.sweep();

  expect(report.counts).toMatchObject({ completed: 1, undetermined: 1 });
  expect((await world.row(flooded.id)).status).toBe("RUNNING");
  expect(sentMib).toBeLessThanOrEqual(AT_MOST_MIB);
});
