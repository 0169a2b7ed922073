import { expect, it, vi } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import { LockWatch } from "../services/postgres/lock-watch.ts";
import { createWorld, type World } from "../support/world/world.ts";

const RUNS = 10;
const SAMPLES_WHILE_ASKING = 100;

/**
 * What happened in production: verification of ten runs took two seconds each, one after another, in a transaction that
 * stayed open, and the callbacks' updates of the same rows waited for 6 to 19 s.
 */
it("blocks no callback while ten slow verifications are under way", async () => {
  await using world = await createWorld();
  const runs = await Promise.all(
    Array.from({ length: RUNS }, () => world.seed({}, { status: "RUNNING" })),
  );
  for (const { sandboxId, bashCommandId } of runs) {
    const outputs = [{ commandId: bashCommandId ?? "", exitCode: 0 }];
    world.host.update(sandboxId ?? "", { outputs });
  }
  const finishedFirst = runs.slice(0, RUNS / 2);
  await using locks = new LockWatch(world.database.url, { everyMs: 1 });
  // A worker that asks one after another never gets an answer to its first question.
  const barrier = world.host.barrier(RUNS, "events");
  world.host.intercept(async ({ kind }) => {
    if (kind !== "events") return undefined;
    await barrier.full;
    await callbacks;
    return undefined;
  });
  const writing = keepWriting(world, runs.slice(RUNS / 2));
  const callbacks = barrier.full.then(async () => {
    for (const { id } of finishedFirst) {
      const answer = await completeRun(world.database.sql, {
        runId: id,
        status: "FAILED",
        error: "said the callback",
      });
      expect(answer).toEqual({ code: 200, reconciled: false });
    }
    const before = locks.figures.samples;
    await vi.waitUntil(() => locks.figures.samples > before + SAMPLES_WHILE_ASKING, 30_000);
  });

  const report = await world.sweep();
  const updates = await writing.stop();
  const figures = await locks.end();

  expect(figures).toMatchObject({ idleInTransaction: 0, blockedWriters: 0 });
  expect(figures.samples).toBeGreaterThan(SAMPLES_WHILE_ASKING);
  expect(updates).toBeGreaterThan(0);
  expect(report.counts.lostRace).toBe(RUNS / 2);
  // A row that one of the writers holds at that very moment is left for the next sweep.
  expect(report.counts.completed + report.counts.busy).toBe(RUNS / 2);
  for (const { id } of finishedFirst) {
    expect(await world.row(id)).toMatchObject({
      status: "FAILED",
      error_detail: "said the callback",
    });
  }
});

/** Updates the given rows over and over, as callbacks and telemetry do, without ending the runs. */
function keepWriting(world: World, runs: readonly { readonly id: string }[]) {
  let stopped = false;
  let updates = 0;
  const loops = runs.map(async ({ id }) => {
    while (!stopped) {
      const { count } = await world.database.sql`
        UPDATE automation_runs SET telemetry_distinct_id = ${String(updates)} WHERE id = ${id}`;
      updates += count;
    }
  });
  return {
    async stop() {
      stopped = true;
      await Promise.all(loops);
      return updates;
    },
  };
}
