import { describe, expect, it, vi } from "vitest";
import { withProgress } from "../../../src/watchdog/port-calls.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { afterVerdictsStand as stand } from "../../support/stands/after-verdicts-stand.ts";

describe("AfterVerdicts", () => {
  it("deletes what an earlier sweep has left, without being nudged", async () => {
    const { db, backend, start } = stand();
    const verdict = db.addVerdict();
    start();
    await settle();
    expect(backend.deleted).toEqual([verdict.sandboxId]);
    expect(verdict).toMatchObject({ cleanupState: "done", cleanupAttempts: 1 });
  });

  it("deletes a sandbox while the sweep goes on, and counts it", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    start();
    await settle();
    const verdict = db.addVerdict();
    expect(backend.deleted).toEqual([]);
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([verdict.sandboxId]);
    expect(afterVerdicts.summary).toEqual({ done: 1, abandoned: 0 });
  });

  it("ends with the sweep, after what is due by then", async () => {
    const { db, afterVerdicts, start } = stand();
    const done = start();
    await settle();
    const verdict = db.addVerdict();
    afterVerdicts.endSweep();
    await done;
    expect(verdict.cleanupState).toBe("done");
  });

  it("leaves alone what is not due yet", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const verdict = db.addVerdict({ cleanupNextAtMs: db.nowMs() + 1 });
    afterVerdicts.endSweep();
    await start();
    expect(backend.deleted).toEqual([]);
    expect(verdict.cleanupState).toBe("pending");
  });

  it("leaves alone a sandbox whose run a callback has overturned", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const verdict = db.addVerdict({ basis: "presumption" });
    db.change(verdict.runId, { status: "COMPLETED", errorDetail: null });
    afterVerdicts.endSweep();
    await start();
    expect(backend.deleted).toEqual([]);
    expect(verdict.cleanupState).toBe("none");
  });

  it("deletes a sandbox once that two verdicts name, and marks both as done", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const first = db.addVerdict();
    const { sandboxId } = first;
    const second = db.addVerdict({ sandboxId });
    const held = backend.holdsCleanup(sandboxId ?? "");
    const done = start();
    await settle();
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([sandboxId]);
    held.answer({ kind: "deleted" });
    afterVerdicts.endSweep();
    await done;
    expect(backend.deleted).toEqual([sandboxId]);
    expect([first, second].map(({ cleanupState }) => cleanupState)).toEqual(["done", "done"]);
    expect(afterVerdicts.summary).toEqual({ done: 1, abandoned: 0 });
  });

  it("leaves a sandbox alone that a RUNNING run names, and looks again five minutes later", async () => {
    const { db, clock, backend, afterVerdicts, start } = stand();
    const verdict = db.addVerdict();
    const { sandboxId } = verdict;
    const user = db.add({ sandboxId });
    start();
    await settle();
    expect(backend.deleted).toEqual([]);
    expect(verdict).toMatchObject({ cleanupState: "pending", cleanupAttempts: 0 });
    db.change(user.id, { status: "COMPLETED" });
    await clock.advance(300_000);
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([sandboxId]);
  });

  it("deletes as many at once as it may beside the sweep, and more after it", async () => {
    const { db, backend, afterVerdicts, start } = stand();
    const held = Array.from({ length: 8 }, () =>
      backend.holdsCleanup(db.addVerdict().sandboxId ?? ""),
    );
    const done = start();
    await settle();
    expect(backend.deleted).toHaveLength(2);
    afterVerdicts.endSweep();
    for (const answer of held.slice(0, 2)) answer.answer({ kind: "deleted" });
    await settle();
    expect(backend.deleted).toHaveLength(6);
    for (const answer of held) answer.answer({ kind: "deleted" });
    await done;
    expect(afterVerdicts.summary.done).toBe(8);
  });

  it("tells that work goes on with every deletion", async () => {
    const onProgress = vi.fn();
    const { db, afterVerdicts, start } = stand((world) => withProgress(world, onProgress));
    db.addVerdict();
    db.addVerdict();
    afterVerdicts.endSweep();
    await start();
    // Two claims, of which the second finds nothing, a deletion and its note for each, and a look for first runs.
    expect(onProgress).toHaveBeenCalledTimes(7);
  });
});

describe("AfterVerdicts wake-up", () => {
  const moments = Array.from({ length: 12 }, (_, turns) => turns);

  it("is lost at no moment between a nudge and the next wait", async () => {
    for (const first of moments) {
      for (const second of moments) {
        const { db, backend, afterVerdicts, start, loops } = stand();
        db.addVerdict();
        start();
        for (const turns of [first, second]) {
          await microtasks(turns);
          db.addVerdict();
          afterVerdicts.nudge();
        }
        await settle();
        expect(backend.deleted, `after ${first} and ${second}`).toHaveLength(3);
        expect(loops()).toBe("waiting");
      }
    }
  });

  it("is lost at no moment between the last nudge and the end of the sweep", async () => {
    for (const first of moments) {
      for (const second of moments) {
        const { db, backend, afterVerdicts, start, loops } = stand();
        start();
        await microtasks(first);
        db.addVerdict();
        afterVerdicts.nudge();
        await microtasks(second);
        db.addVerdict();
        afterVerdicts.endSweep();
        await settle();
        expect(backend.deleted, `after ${first} and ${second}`).toHaveLength(2);
        expect(loops()).toBe("ended");
      }
    }
  });

  it("is kept for a verdict that comes while a claim is on its way back", async () => {
    const { db, journal, backend, afterVerdicts, start } = stand();
    const reply = Promise.withResolvers<void>();
    const claim = journal.claimCleanups.bind(journal);
    vi.spyOn(journal, "claimCleanups").mockImplementationOnce(async (...args) => {
      const tasks = await claim(...args);
      await reply.promise;
      return tasks;
    });
    start();
    await settle();
    db.addVerdict();
    afterVerdicts.nudge();
    await settle();
    expect(backend.deleted).toEqual([]);
    reply.resolve();
    await settle();
    expect(backend.deleted).toHaveLength(1);
  });
});

/** Lets so many promise reactions run. */
async function microtasks(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await null;
}
