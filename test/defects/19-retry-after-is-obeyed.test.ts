import { expect, it } from "vitest";
import { json } from "../fake-host/model.ts";
import { createWorld } from "../support/world/world.ts";

const RUNS = 6;
/** So many owners that are told to wait, one after the other, speak for all of them. */
const OWNERS = 3;

it("after 429s that name a time nothing is asked until then, by no worker", async () => {
  await using world = await createWorld();
  for (let run = 0; run < RUNS; run += 1) await world.seed();
  const limited = json(429, { error: "Rate limit exceeded: 10 per 1 second" });
  const remove = world.host.intercept(({ kind }) =>
    kind === "lookup"
      ? { ...limited, headers: { ...limited.headers, "retry-after": "120" } }
      : undefined,
  );
  const env = { WATCHDOG_CONCURRENCY: "1" };

  const first = await world.sweep({ env });
  expect(first.counts).toMatchObject({ undetermined: OWNERS, skipped: RUNS - OWNERS });
  remove();
  await world.database.sql`UPDATE automation_runs SET timeout_at = now() - interval '1 minute'`;
  const second = await world.sweep({ env });
  expect(second.counts).toMatchObject({ skipped: RUNS });
  expect(world.host.traffic.of("lookup").seen).toBe(OWNERS);

  await world.database.sql`
    UPDATE watchdog.leadership SET api_paused_until = now();
    UPDATE automation_runs SET timeout_at = now() - interval '1 minute'`.simple();
  expect((await world.sweep({ env })).counts).toMatchObject({ deferred: RUNS });
});
