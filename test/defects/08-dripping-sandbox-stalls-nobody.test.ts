import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, vi } from "vitest";
import { type HttpReply, JSON_TYPE } from "../fake-host/model.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld } from "../support/world/world.ts";

const OTHERS = 5;

it("an answer that keeps coming byte by byte holds nobody up and ends at a total deadline", async () => {
  await using world = await createWorld();
  // The longest overdue, so that it is asked first.
  const slow = await world.seed({ overdueMs: 600_000 });
  const { promise: othersEnded, resolve: drip } = Promise.withResolvers<HttpReply>();
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "events" && sandboxId === slow.sandboxId ? othersEnded : undefined,
  );
  for (let run = 0; run < OTHERS; run += 1) await seedExited(world, 0);

  const env = { WATCHDOG_CONCURRENCY: "2", WATCHDOG_VERIFY_TIMEOUT: "20s" };
  const sweeping = world.sweep({ env });
  const { sql } = world.database;
  // Well before the deadline of the one that is asked first.
  await vi.waitFor(
    async () => {
      const ended = await sql`SELECT FROM automation_runs WHERE status = 'COMPLETED'`;
      expect(ended).toHaveLength(OTHERS);
    },
    { timeout: 15_000, interval: 50 },
  );
  drip({ status: 200, headers: JSON_TYPE, body: drops() });

  const report = await sweeping;
  expect(report.counts).toMatchObject({ completed: OTHERS, undetermined: 1 });
  expect(report.runs.find(({ runId }) => runId === slow.id)?.reason).toContain("timed out");
  expect((await world.row(slow.id)).status).toBe("RUNNING");
});

async function* drops(): AsyncGenerator<string> {
  while (true) {
    yield " ";
    await sleep(50);
  }
}
