import { describe, expect, it } from "vitest";
import { seedAutomation, seedRuns } from "../fake-host/seed.ts";
import { createWorld, exitedWith, leadOnce, type World } from "../support/world/world.ts";

const RUNS = 200;

const ALL_AT_ONCE = { WATCHDOG_CONCURRENCY: String(RUNS), WATCHDOG_API_CONCURRENCY: "8" };

/** Runs that have ended, spread evenly over so many users. */
async function seedOf(world: World, users: number): Promise<void> {
  const { sql } = world.database;
  const owners = await Promise.all(Array.from({ length: users }, () => seedAutomation(sql)));
  const seeds = Array.from({ length: RUNS }, (_, index) => {
    const of = owners[index % users];
    return of === undefined ? {} : { of };
  });
  for (const run of await seedRuns(sql, seeds)) {
    const { sandboxId, userId, orgId } = run;
    const outputs = [exitedWith(0, run)];
    world.host.addSandbox({ id: sandboxId ?? "", userId, orgId, outputs });
  }
}

describe("a sweep in the cloud over 200 runs that wait for their keys together", () => {
  for (const { users, lookups } of [
    { users: 1, lookups: 4 },
    { users: 4, lookups: 4 },
    { users: 40, lookups: 40 },
    { users: 200, lookups: 200 },
  ]) {
    it(`asks ${lookups} times about the sandboxes of ${users} users`, async () => {
      await using world = await createWorld();
      await seedOf(world, users);
      const asking = Promise.withResolvers<undefined>();
      world.host.intercept(({ kind }) => (kind === "mint" ? asking.promise : undefined));
      await using runtime = world.open(ALL_AT_ONCE);
      let verifying = 0;
      const result = await leadOnce(runtime, {
        replace: ({ backend }) => ({
          backend: {
            ...backend,
            verify: (run, signal) => {
              verifying += 1;
              if (verifying === RUNS) asking.resolve(undefined);
              return backend.verify(run, signal);
            },
          },
        }),
      });
      expect(result).toMatchObject({ report: { counts: { completed: RUNS } } });
      const { host } = world;
      const seen = (kind: "mint" | "lookup" | "delete") => host.traffic.of(kind).seen;
      expect({ mints: seen("mint"), lookups: seen("lookup"), deletions: seen("delete") }).toEqual({
        mints: users,
        lookups,
        deletions: RUNS,
      });
      const perRun = host.traffic.of("api").seen / RUNS;
      if (users === 1) expect(perRun).toBeLessThanOrEqual(1.1);
    });
  }
});
