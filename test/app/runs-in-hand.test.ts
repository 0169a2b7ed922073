import { describe, expect, it } from "vitest";
import { seedAutomation, seedRuns } from "../fake-host/seed.ts";
import { createWorld, exitedWith, leadOnce, type World } from "../support/world/world.ts";

const RUNS = 12;

/** Runs of one user that have ended, and agent servers that answer once the test has seen enough. */
async function held(world: World) {
  const of = await seedAutomation(world.database.sql);
  const seeds = Array.from({ length: RUNS }, () => ({ of }));
  for (const run of await seedRuns(world.database.sql, seeds)) {
    const { sandboxId, userId, orgId } = run;
    world.host.addSandbox({ id: sandboxId ?? "", userId, orgId, outputs: [exitedWith(0, run)] });
  }
  const gate = Promise.withResolvers<undefined>();
  world.host.intercept(({ kind }) => (kind === "events" ? gate.promise : undefined));
  return { answer: () => gate.resolve(undefined) };
}

describe("a sweep in the cloud", () => {
  it.each([
    { concurrency: 1, inHand: 1 },
    { concurrency: 2, inHand: 3 },
    { concurrency: 4, inHand: 6 },
    { concurrency: 5, inHand: 7 },
  ])("asks about $concurrency at once with $inHand in hand", async ({ concurrency, inHand }) => {
    await using world = await createWorld();
    const agents = await held(world);
    await using runtime = world.open({
      WATCHDOG_CONCURRENCY: String(concurrency),
      // Their batches would hide how many there are.
      WATCHDOG_API_CONCURRENCY: "1",
    });
    const hands = { now: 0, most: 0 };
    const enough = Promise.withResolvers<void>();
    const leading = leadOnce(runtime, {
      replace: ({ backend }) => ({
        backend: {
          ...backend,
          async verify(run, signal) {
            hands.now += 1;
            hands.most = Math.max(hands.most, hands.now);
            if (hands.now === inHand) enough.resolve();
            try {
              return await backend.verify(run, signal);
            } finally {
              hands.now -= 1;
            }
          },
        },
      }),
    });
    await enough.promise;
    await world.host.traffic.until("events", concurrency);
    agents.answer();
    expect(await leading).toMatchObject({ report: { counts: { completed: RUNS } } });
    expect(hands.most).toBe(inHand);
    expect(world.host.traffic.of("events").peak).toBe(concurrency);
  });
});
