import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { observation } from "../../../src/rules/suspicion.ts";
import { seedRuns } from "../../fake-host/seed.ts";
import {
  deferring,
  failing,
  openStores,
  queryNow,
  readRun,
  takeEpoch,
} from "../../support/stands/stores.ts";
import { createWorld, exitedWith } from "../../support/world/world.ts";

const RUNS = 60;

describe("a whole sweep", () => {
  it("leaves no transaction open at any moment", async () => {
    await using world = await createWorld();
    for (let index = 0; index < RUNS; index += 1) {
      const run = await world.seed(index % 3 === 0 ? { sandboxId: null } : {});
      const { sandboxId } = run;
      if (sandboxId !== null && index % 3 === 1) {
        world.host.addSandbox({ id: sandboxId, outputs: [exitedWith(index % 2, run)] });
      }
    }
    await using watch = await watchSessions(world.database.url);
    const report = await world.sweep();
    const seen = await watch.end();
    expect(report.counts.stale).toBe(RUNS);
    expect(seen.active).toBeGreaterThan(0);
    expect(seen.idleInTransaction).toBe(0);
    expect(seen.samples).toBeGreaterThan(10);
  });
});

describe("everything a store writes", () => {
  it("leaves no transaction open at any moment", async () => {
    await using world = await createWorld();
    await using stores = openStores(world.database.connection, { size: 8 });
    const seeds = Array.from({ length: RUNS }, () => ({}));
    const runs = await seedRuns(world.database.sql, seeds);
    const fence = await takeEpoch(stores);
    const query = await queryNow(stores);
    await using watch = await watchSessions(world.database.url);
    await Promise.all(
      runs.map(async ({ id }, index) => {
        const run = await readRun(stores, id);
        const suspicion = observation(null, "sandbox gone", 0);
        if (index % 3 === 0) await stores.store.defer(deferring(run, { suspicion }), fence);
        if (index % 3 === 1)
          await stores.store.deferSkipped([id], query, { deferMs: 45_000, shieldMs: 0 }, fence);
        await stores.store.noteError({ runId: id, cause: "c", retryInMs: 60_000 }, fence);
        await stores.store.apply(failing(await readRun(stores, id)), fence);
        await stores.store.dropSuspicions(fence);
      }),
    );
    const seen = await watch.end();
    const { sql } = world.database;
    expect(await sql`SELECT FROM watchdog.verdicts`).toHaveLength(RUNS);
    expect(await sql`SELECT FROM watchdog.suspicions`).toHaveLength(0);
    expect(seen.active).toBeGreaterThan(0);
    expect(seen.idleInTransaction).toBe(0);
  });
});

interface Seen {
  readonly samples: number;
  readonly active: number;
  readonly idleInTransaction: number;
}

/** Looks at the worker's sessions again and again, as fast as the server answers. */
async function watchSessions(url: string): Promise<AsyncDisposable & { end(): Promise<Seen> }> {
  const sql = postgres(url, { max: 1, fetch_types: false });
  const seen = { samples: 0, active: 0, idleInTransaction: 0 };
  let ended = false;
  const sampling = (async () => {
    while (!ended) {
      const [row] = await sql`
        SELECT count(*) FILTER (WHERE state = 'active')::int AS active,
               count(*) FILTER (WHERE state LIKE 'idle in transaction%')::int AS idle
        FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'run-watchdog'`;
      seen.samples += 1;
      seen.active += row?.["active"];
      seen.idleInTransaction += row?.["idle"];
    }
  })();
  return {
    async end() {
      ended = true;
      await sampling;
      return seen;
    },
    async [Symbol.asyncDispose]() {
      ended = true;
      await sampling;
      await sql.end();
    },
  };
}
