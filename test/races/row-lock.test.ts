import { describe, expect, it, vi } from "vitest";
import { completeRun } from "../fake-host/callback.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { actionsOf, deleted, journal, seedSampleRuns, wholeRow } from "./sample-runs.ts";

describe("a sweep that meets a row lock", () => {
  it("answers busy while callbacks hold the rows, and does not wait for them", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const response = Promise.withResolvers<void>();
    const callbacks = await holdingRows(world, Object.values(sample.byOutcome), response.promise);

    // The locks are held until after this line: a sweep that waited would never come here.
    const report = await world.sweep();
    response.resolve();
    expect(await Promise.all(callbacks)).toEqual(
      sample.runs.map(() => ({ code: 200, reconciled: false })),
    );

    expect(actionsOf(report, sample)).toEqual({
      completed: "busy",
      failed: "busy",
      presumed: "busy",
      deferred: "busy",
      undetermined: "busy",
    });
    expect(await journal(world)).toEqual([]);
    expect(deleted(world)).toEqual([]);
    for (const { id } of sample.runs) {
      expect(await wholeRow(world, id)).toMatchObject({
        status: "COMPLETED",
        conversation_id: `of ${id}`,
        error_detail: null,
      });
    }
  });

  it("leaves a run busy for now and judges it in the next sweep when its writer gives up", async () => {
    await using world = await createWorld();
    const { byOutcome } = await seedSampleRuns(world);
    const response = Promise.withResolvers<void>();
    const [callback] = await holdingRows(world, [byOutcome.failed], response.promise);
    const first = await world.sweep();
    expect(first.counts).toMatchObject({ busy: 1, completed: 1 });
    response.reject(new Error("the client went away"));
    await expect(callback).rejects.toThrow("the client went away");

    expect((await world.sweep()).counts).toMatchObject({ busy: 0, failed: 1 });
    expect(await world.row(byOutcome.failed.id)).toMatchObject({ status: "FAILED" });
  });

  it("writes through a lock that only keeps the row from being deleted", async () => {
    await using world = await createWorld();
    const { byOutcome } = await seedSampleRuns(world);
    await world.database.sql.begin(async (transaction) => {
      // What a foreign key that points to the run takes.
      await transaction`SELECT FROM automation_runs FOR KEY SHARE`;
      expect((await world.sweep()).counts).toMatchObject({ busy: 0, completed: 1, failed: 2 });
    });
    expect(await world.row(byOutcome.completed.id)).toMatchObject({ status: "COMPLETED" });
  });
});

describe("a sweep that waits for the backend", () => {
  it("holds no transaction and no lock, so that a callback passes at once", async () => {
    await using world = await createWorld();
    const { byOutcome, runs } = await seedSampleRuns(world);
    const answers = world.host.barrier(runs.length + 1, "lookup");
    const sweeping = world.sweep();
    await world.host.traffic.until("lookup", runs.length);

    // Every question has arrived; the last statement before it may take a moment to end.
    await vi.waitFor(async () => expect(await openTransactions(world)).toEqual([]), 10_000);
    const { id: runId } = byOutcome.failed;
    await completeRun(world.database.sql, { runId, status: "COMPLETED" });
    answers.release();
    expect((await sweeping).counts).toMatchObject({ lostRace: 1, completed: 1 });
    expect(await world.row(runId)).toMatchObject({ status: "COMPLETED", error_detail: null });
  });
});

/** Callbacks that have written and not yet committed, because their responses are not through. */
async function holdingRows(
  { database }: World,
  runs: readonly { readonly id: string }[],
  response: Promise<unknown>,
): Promise<readonly Promise<unknown>[]> {
  let held = 0;
  const callbacks = runs.map(({ id: runId }) => {
    const callback = completeRun(database.sql, {
      runId,
      status: "COMPLETED",
      conversationId: `of ${runId}`,
      hold: () => {
        held += 1;
        return response;
      },
    });
    callback.catch(() => undefined);
    return callback;
  });
  await vi.waitFor(() => expect(held).toBe(runs.length), 10_000);
  return callbacks;
}

/** Sessions of the worker that are in a transaction or hold a lock on a run. */
async function openTransactions({ database }: World): Promise<readonly unknown[]> {
  return await database.sql`
    SELECT pid, state, query FROM pg_stat_activity
    WHERE application_name = 'run-watchdog' AND datname = current_database()
      AND (xact_start IS NOT NULL OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid
        AND l.relation = 'automation_runs'::regclass))`;
}
