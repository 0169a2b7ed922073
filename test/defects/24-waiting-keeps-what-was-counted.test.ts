import { expect, it } from "vitest";
import { createWorld } from "../support/world/world.ts";

const PRODUCT = { WATCHDOG_CONFIRMATIONS: "2", WATCHDOG_GUARD_MIN: "5" };

it("what was counted of failed questions outlives every deferral that is no proof of life", async () => {
  await using world = await createWorld();
  const run = await world.seed({}, { initializing: true });
  const sandboxId = run.sandboxId ?? "";
  const sweep = () => world.sweep({ env: PRODUCT, runIds: [run.id] });

  await sweep();
  const first = await detail();
  expect(first).toMatchObject({ count: 1, status_code: 503 });
  await sweep();
  expect(await detail()).toMatchObject({ count: 2, first_seen_at: first["first_seen_at"] });

  world.host.update(sandboxId, { status: "PAUSED" });
  expect((await sweep()).counts).toMatchObject({ suspected: 1 });
  expect(await detail()).toMatchObject({ count: 2, first_seen_at: first["first_seen_at"] });

  world.host.update(sandboxId, { status: "RUNNING" });
  await sweep();
  expect(await detail()).toMatchObject({ count: 3, first_seen_at: first["first_seen_at"] });

  world.host.update(sandboxId, { initializing: false });
  expect((await sweep()).counts).toMatchObject({ deferred: 1 });
  expect((await world.row(run.id)).status_detail).toBe("null");

  async function detail(): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse((await world.row(run.id)).status_detail ?? "");
  }
});
