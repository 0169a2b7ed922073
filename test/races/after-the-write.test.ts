import { describe, expect, it } from "vitest";
import { StopRequestedError } from "../../src/watchdog/errors.ts";
import type { LeadDeps } from "../../src/watchdog/lead/model.ts";
import { cancelRun, completeRun, dispatchPhaseTwo } from "../fake-host/callback.ts";
import { journalWith } from "../support/stands/journal-double.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { atPoint } from "./interleavings.ts";
import { deleted, journal, wholeRow } from "./sample-runs.ts";

const AT_ONCE = { WATCHDOG_CLEANUP_DELAY: "0s" };
const POINT = "between the write and the clean-up";

describe("a verdict that rests on an exit code", () => {
  const latecomers = [
    {
      name: "a callback that reports success",
      act: ({ database }: World, runId: string) =>
        completeRun(database.sql, { runId, status: "COMPLETED", conversationId: "late" }),
    },
    {
      name: "a callback that reports failure",
      act: ({ database }: World, runId: string) =>
        completeRun(database.sql, { runId, status: "FAILED", conversationId: "late" }),
    },
    {
      name: "a cancel",
      act: ({ database }: World, runId: string) => cancelRun(database.sql, runId),
    },
  ];

  it.each(latecomers)("stands against $name, and its sandbox is deleted", async ({ act }) => {
    await using world = await createWorld();
    const run = await seedExited(world, 1);
    const replace = atPoint(POINT, async (runId) => {
      const before = await wholeRow(world, runId);
      expect(await act(world, runId)).toMatchObject({ code: 409 });
      expect(await wholeRow(world, runId)).toEqual(before);
    });
    const report = await world.sweep({ replace });
    expect(report).toMatchObject({ counts: { failed: 1 }, cleanups: { done: 1, pending: 0 } });
    expect(await journal(world)).toMatchObject([{ outcome: "FAILED", cleanup_state: "done" }]);
    expect(deleted(world)).toEqual([run.sandboxId]);
  });

  it("deletes the sandbox it was about when a dispatcher names another one", async () => {
    await using world = await createWorld();
    const run = await seedExited(world, 0);
    const other = world.host.addSandbox({ userId: run.userId, orgId: run.orgId });
    const replace = atPoint(POINT, (runId) =>
      dispatchPhaseTwo(world.database.sql, { runId, sandboxId: other.id }),
    );
    await world.sweep({ replace });
    expect(deleted(world)).toEqual([run.sandboxId]);
  });
});

describe("a presumption", () => {
  it("gives way to a late success, and the sandbox is spared in the same sweep", async () => {
    await using world = await createWorld();
    const overturned = await world.seed({}, { status: "PAUSED" });
    const lost = await world.seed({}, { status: "PAUSED" });
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    const replace = atPoint(POINT, async (runId) => {
      // The first to go on wakes the clean-up of both.
      if (runId !== overturned.id) return answered;
      const late = { runId, status: "COMPLETED", conversationId: "late" } as const;
      expect(await completeRun(world.database.sql, late)).toEqual({ code: 200, reconciled: true });
      answer();
    });
    const report = await world.sweep({ env: AT_ONCE, replace });
    expect(report.counts).toMatchObject({ failed: 2, completed: 0 });
    expect(await world.row(overturned.id)).toMatchObject({
      status: "COMPLETED",
      error_detail: null,
    });
    expect(await world.row(lost.id)).toMatchObject({ status: "FAILED" });
    expect(deleted(world)).toEqual([lost.sandboxId]);
    expect(new Map((await journal(world)).map((row) => [row.run_id, row.cleanup_state]))).toEqual(
      new Map([
        [overturned.id, "none"],
        [lost.id, "done"],
      ]),
    );
  });

  it("gives way to a success that comes sweeps later, before the sandbox is due", async () => {
    await using world = await createWorld();
    const overturned = await world.seed({}, { status: "PAUSED" });
    const lost = await world.seed({}, { status: "PAUSED" });
    expect((await world.sweep()).cleanups).toMatchObject({ done: 0, pending: 2 });
    expect(deleted(world)).toEqual([]);

    await completeRun(world.database.sql, { runId: overturned.id, status: "COMPLETED" });
    const row = await wholeRow(world, overturned.id);
    await world.database.sql`UPDATE watchdog.verdicts SET cleanup_next_at = now()`;
    expect((await world.sweep()).cleanups).toMatchObject({ done: 1, pending: 0 });
    expect(deleted(world)).toEqual([lost.sandboxId]);
    expect(await wholeRow(world, overturned.id)).toEqual(row);
  });

  it("is not confirmed by a late failure: the row stays as it is and the sandbox goes", async () => {
    await using world = await createWorld();
    const run = await world.seed({}, { status: "PAUSED" });
    const replace = atPoint(POINT, async (runId) => {
      const before = await wholeRow(world, runId);
      const late = { runId, status: "FAILED", error: "late" } as const;
      expect(await completeRun(world.database.sql, late)).toMatchObject({ code: 409 });
      expect(await wholeRow(world, runId)).toEqual(before);
    });
    await world.sweep({ env: AT_ONCE, replace });
    expect(deleted(world)).toEqual([run.sandboxId]);
  });

  it("spares both sandboxes when a dispatcher names another one", async () => {
    await using world = await createWorld();
    const run = await world.seed({}, { status: "PAUSED" });
    const other = world.host.addSandbox({ userId: run.userId, orgId: run.orgId });
    const replace = atPoint(POINT, (runId) =>
      dispatchPhaseTwo(world.database.sql, { runId, sandboxId: other.id }),
    );
    await world.sweep({ env: AT_ONCE, replace });
    expect(deleted(world)).toEqual([]);
    expect(await journal(world)).toMatchObject([{ cleanup_state: "none" }]);
  });
});

describe("the wish to delete a sandbox", () => {
  it("is committed with the verdict, not before, and survives the sweep that had it", async () => {
    await using world = await createWorld();
    const run = await seedExited(world, 1);
    const stop = new AbortController();
    // The sweep ends between its write and the clean-up, whatever pass over the journal was just about to begin.
    const ends = atPoint(POINT, async () => stop.abort(new StopRequestedError("SIGTERM")));
    const replace = (deps: LeadDeps) => ({
      ...ends(deps),
      journal: journalWith(deps.journal, { claimCleanups: async () => [] }),
    });
    expect(await world.sweep({ replace, signal: stop.signal })).toMatchObject({
      status: "interrupted",
    });
    expect(await world.row(run.id)).toMatchObject({ status: "FAILED" });
    expect(deleted(world)).toEqual([]);
    expect(await journal(world)).toMatchObject([{ run_id: run.id, cleanup_state: "pending" }]);

    expect((await world.sweep()).cleanups).toMatchObject({ done: 1, pending: 0 });
    expect(deleted(world)).toEqual([run.sandboxId]);
  });
});
