import { describe, expect, it, vi } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import type { SeededRun } from "../fake-host/seed.ts";
import { startTcpProxy } from "../services/tcp-proxy.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { SWEEPS } from "./fleets.ts";
import { storeWith } from "./interleavings.ts";
import { pauseCommits } from "./paused-commit.ts";
import { deleted, journal } from "./sample-runs.ts";

/** Resolved under the epoch of the shard that is swept. */
describe.each(SWEEPS)("a sweep whose write lost its answer$as", ({ divided: env, of }) => {
  // What follows a verdict is done in the first shard's sweeps.
  const cleansUp = of.shard === undefined;
  const cleanupState = cleansUp ? "done" : "pending";
  const deletedOf = (run: SeededRun) => (cleansUp ? [run.sandboxId] : []);

  async function seed(world: World): Promise<SeededRun> {
    if (of.shard === undefined) return await seedExited(world, 1);
    // The fleet notes how it divides the runs.
    await world.sweep({ env, shard: 0 });
    return await seedExited(world, 1, { id: await world.idIn(of.shard) });
  }

  it("finds its own verdict in the journal, counts it as written and cleans up", async () => {
    await using world = await createWorld();
    await using commits = await pauseCommits(world.database);
    await using proxy = await startTcpProxy(world.database.connection);
    const run = await seed(world);

    const sweeping = world.sweep({
      ...of,
      env: { ...env, DATABASE_URL: proxy.url(world.database.url) },
    });
    await commits.waiting(1);
    proxy.blackhole();
    await commits.release();
    await vi.waitFor(async () => expect(await journal(world)).toHaveLength(1), 10_000);
    // Only now does the worker learn that its connection is gone.
    await proxy.heal();

    expect(await sweeping).toMatchObject({
      status: "ok",
      counts: { failed: 1, lostRace: 0, errors: 0 },
    });
    // Another connection of its may have been gone as well, without its knowing, when it came to clean up: what it had
    // taken up is not to be waited for.
    await world.database.sql`
      UPDATE watchdog.verdicts SET cleanup_next_at = now() WHERE cleanup_state = 'pending'`;
    await world.sweep({ ...of, env });
    expect(await journal(world)).toMatchObject([
      { run_id: run.id, shard: of.shard ?? 0, cleanup_state: cleanupState },
    ]);
    expect(deleted(world)).toEqual(deletedOf(run));
  });

  it("writes once more when the statement was rolled back", async () => {
    await using world = await createWorld();
    await using commits = await pauseCommits(world.database);
    const run = await seed(world);

    const sweeping = world.sweep({ ...of, env });
    const [pid] = await commits.waiting(1);
    await world.database.sql`SELECT pg_terminate_backend(${pid ?? 0})`;
    await vi.waitFor(async () => expect(await commits.waiting(1)).not.toEqual([pid]), 10_000);
    await commits.release();

    expect(await sweeping).toMatchObject({ status: "ok", counts: { failed: 1, errors: 0 } });
    expect(await journal(world)).toMatchObject([
      { run_id: run.id, shard: of.shard ?? 0, cleanup_state: cleanupState },
    ]);
    expect(deleted(world)).toEqual(deletedOf(run));
  });

  it("leaves the run to a callback that came before it asked what became of the write", async () => {
    await using world = await createWorld();
    await using commits = await pauseCommits(world.database);
    const run = await seed(world);
    const { sql } = world.database;
    let callback: Promise<unknown> = Promise.resolve();

    const sweeping = world.sweep({
      ...of,
      env,
      replace: ({ store }) => ({
        store: storeWith(store, {
          async facts(...args) {
            await callback;
            return store.facts(...args);
          },
        }),
      }),
    });
    const [pid] = await commits.waiting(1);
    // Waits for the row lock of the write, and gets it when that is rolled back.
    callback = completeRun(sql, { runId: run.id, status: "COMPLETED" });
    await sql`SELECT pg_terminate_backend(${pid ?? 0})`;

    expect(await sweeping).toMatchObject({ status: "ok", counts: { lostRace: 1, failed: 0 } });
    expect(await callback).toEqual({ code: 200, reconciled: false });
    expect(await world.row(run.id)).toMatchObject({ status: "COMPLETED", error_detail: null });
    expect(await journal(world)).toEqual([]);
    expect(deleted(world)).toEqual([]);
  });
});
