import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { Journal } from "../../../src/watchdog/journal-ports.ts";
import type { SeededRun } from "../../fake-host/seed.ts";
import { journalWith } from "../../support/stands/journal-double.ts";
import { cleanupOf, deletions, setDueIn } from "../../support/world/cleanup-rows.ts";
import {
  createWorld,
  exitedWith,
  leadOnce,
  randomCommandId,
  type World,
} from "../../support/world/world.ts";

const MINUTE_MS = 60_000;

describe("a clean-up that another worker takes up", () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world[Symbol.asyncDispose]();
  });

  it("is made by the next sweep when the worker ended right after the verdict", async () => {
    const run = await seedExited();
    await sweepWith(() => ({ claimCleanups: crash }));
    expect((await world.row(run.id)).status).toBe("COMPLETED");
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 0 });
    expect(deletions(world)).toEqual([]);

    expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 0, abandoned: 0 });
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("waits five minutes when the worker ended between claim and deletion", async () => {
    const run = await seedExited();
    await sweepWith((journal) => ({
      claimCleanups: async (...args) => {
        const tasks = await journal.claimCleanups(...args);
        return tasks.length === 0 ? tasks : crash();
      },
    }));
    const claimed = await cleanupOf(world, run.id);
    expect(claimed).toMatchObject({ state: "pending", attempts: 1 });
    expect(claimed.nextInMs).toBeGreaterThan(4 * MINUTE_MS);
    expect(claimed.nextInMs).toBeLessThanOrEqual(5 * MINUTE_MS);
    await world.sweep();
    expect(deletions(world)).toEqual([]);

    await setDueIn(world, run.id);
    await world.sweep();
    expect(deletions(world)).toEqual([run.sandboxId]);
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "done", attempts: 2 });
  });

  it("ends as done when the worker ended between deletion and its note", async () => {
    const run = await seedExited();
    await sweepWith(() => ({ cleanupDone: crash }));
    expect(world.host.sandbox(run.sandboxId ?? "")).toBeUndefined();
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 1 });

    for (const expected of [
      { done: 0, pending: 1 },
      { done: 1, pending: 0 },
    ]) {
      await setDueIn(world, run.id);
      expect((await world.sweep()).cleanups).toEqual({ ...expected, abandoned: 0 });
    }
    expect(deletions(world)).toEqual([run.sandboxId, run.sandboxId, run.sandboxId]);
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "done",
      attempts: 3,
      error: "the API does not know the sandbox: sandbox_api delete_sandbox returned HTTP 404",
    });
    await world.sweep();
    expect(deletions(world)).toHaveLength(3);
  });

  it("is not made while another worker's deletion is on its way", async () => {
    const run = await seedExited();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    world.host.intercept(async ({ kind }) => {
      if (kind === "delete") await released;
      return undefined;
    });
    await using first = world.open();
    const sweeping = leadOnce(first);
    await world.host.traffic.until("delete", 1);
    await endLease();

    expect((await world.sweep()).cleanups).toEqual({ done: 0, pending: 1, abandoned: 0 });
    release();
    await sweeping;
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("is left alone while another worker is claiming it, and nobody waits for that", async () => {
    const [claimed, free] = [await seedExited(), await seedExited()];
    await sweepWith(() => ({ claimCleanups: crash }));
    await world.database.sql.begin(async (transaction) => {
      await transaction`SELECT FROM watchdog.verdicts WHERE run_id = ${claimed.id} FOR UPDATE`;
      expect((await world.sweep()).cleanups).toEqual({ done: 1, pending: 1, abandoned: 0 });
    });
    expect(deletions(world)).toEqual([free.sandboxId]);
  });

  it("is never begun by a worker whose epoch has passed", async () => {
    const run = await seedExited();
    const report = await sweepWith((journal) => ({
      claimCleanups: async (...args) => {
        const passed = await world.database.sql`
          UPDATE watchdog.leadership SET epoch = epoch + 1
          WHERE EXISTS (SELECT FROM watchdog.verdicts) RETURNING epoch`;
        // The verdict may be committed right now; the next claim comes after that.
        return passed.length === 0 ? [] : journal.claimCleanups(...args);
      },
    }));
    expect(report).toMatchObject({ status: "error", counts: { completed: 1 } });
    expect(await cleanupOf(world, run.id)).toMatchObject({ state: "pending", attempts: 0 });
    expect(deletions(world)).toEqual([]);

    await world.sweep();
    expect(deletions(world)).toEqual([run.sandboxId]);
  });

  it("is not noted by a worker whose epoch has passed", async () => {
    const run = await seedExited();
    world.host.intercept(async ({ kind }) => {
      if (kind !== "delete") return undefined;
      await world.database.sql`UPDATE watchdog.leadership SET epoch = epoch + 1`;
      return { status: 500 };
    });
    await world.sweep();
    expect(await cleanupOf(world, run.id)).toMatchObject({
      state: "pending",
      attempts: 1,
      error: null,
    });
  });

  /** One sweep whose journal breaks off somewhere. */
  function sweepWith(methods: (journal: Journal) => Partial<Journal>) {
    return world.sweep({
      replace: ({ journal }) => ({ journal: journalWith(journal, methods(journal)) }),
    });
  }

  /** As if the holder had not renewed for longer than the lease lasts. */
  async function endLease(): Promise<void> {
    await world.database.sql`
      UPDATE watchdog.leadership SET lease_expires_at = now() - interval '1 second'`;
  }

  function seedExited(): Promise<SeededRun> {
    const bashCommandId = randomCommandId();
    return world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
  }
});

async function crash(): Promise<never> {
  throw new StoreUnavailableError("the process has ended");
}
