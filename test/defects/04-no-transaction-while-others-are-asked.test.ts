import { expect, it, vi } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import { LockWatch } from "../services/postgres/lock-watch.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const SAMPLES = 20;

it("neither a question nor a deletion is waited for with a transaction open or a row locked", async () => {
  await using world = await createWorld();
  const asked = await world.seed();
  const deleted = await seedExited(world, 0);
  const { promise: looked, resolve: answer } = Promise.withResolvers<undefined>();
  world.host.intercept(({ kind, sandboxId }) => {
    const isSlow = kind === "delete" || (kind === "events" && sandboxId === asked.sandboxId);
    return isSlow ? looked : undefined;
  });
  await using locks = new LockWatch(world.database.url, { everyMs: 1 });
  const sweeping = world.sweep();
  await Promise.all([world.host.traffic.until("events", 2), world.host.traffic.until("delete", 1)]);
  const { samples } = locks.figures;
  const { sql } = world.database;
  const callback = { runId: asked.id, status: "COMPLETED" } as const;
  expect(await completeRun(sql, callback)).toEqual({ code: 200, reconciled: false });
  await sql`UPDATE automations SET name = 'renamed' WHERE id = ${deleted.automationId}`;
  await vi.waitUntil(() => locks.figures.samples > samples + SAMPLES, 30_000);
  answer(undefined);

  expect((await sweeping).counts).toMatchObject({ completed: 1, lostRace: 1 });
  expect(await locks.end()).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
});
