import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { WriteResult } from "../../../src/watchdog/store-ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { ALIVE, GONE, guardStand, NOT_STALE, SILENT } from "../../support/stands/guard-stand.ts";
import { GUARD } from "../../support/stands/sweep-world.ts";

describe("the rounds of the guard", () => {
  it("come every ten seconds while runs hang", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    seed(1, GONE);
    seed(1, ALIVE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await clock.advance(9_999);
    expect(actions()).toEqual({ deferred: 1 });
    await clock.advance(1);
    expect(actions()).toEqual({ deferred: 1, failed: 1 });
    held.answer(ALIVE);
    await swept;
  });

  it("come after 64 answers, without a wait", async () => {
    const { db, actions, seed, sweep, backend } = guardStand();
    seed(63, ALIVE);
    const [dead] = seed(1, GONE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    await vi.waitFor(() => expect(dead?.status).toBe("FAILED"));
    expect(actions()).toEqual({ deferred: 63, failed: 1 });
    held.answer(ALIVE);
    await swept;
  });

  it("act on nothing that was said more than thirty seconds ago", async () => {
    const { db, clock, actions, seed, sweep, backend, outcomes } = guardStand();
    const [dead] = seed(1, GONE);
    seed(1, ALIVE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    clock.block(30_001);
    await clock.advance(0);
    expect(actions()).toEqual({ deferred: 1, suspected: 1 });
    expect(outcomes.at(-1)?.reason).toBe("sandbox missing, the answer grew old");
    expect(dead?.status).toBe("RUNNING");
    held.answer(ALIVE);
    await swept;
  });

  it("lose no run whose answer grows old while a round looks at it", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    seed(60, GONE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    clock.block(29_950);
    let looks = 0;
    const elapsedMs = clock.monotonicMs();
    vi.spyOn(clock, "monotonicMs").mockImplementation(() => elapsedMs + looks++);
    await clock.advance(0);
    held.answer(ALIVE);
    await swept;
    const { deferred, ...ended } = actions();
    expect(deferred).toBe(1);
    expect(Object.values(ended).reduce((sum, count) => sum + count, 0)).toBe(60);
  });

  for (const [waitedMs, expected] of [
    [30_000, { failed: 1 }],
    [30_001, { suspected: 1 }],
  ] as const) {
    it(`look at the age of an answer where the fence is: after ${waitedMs} ms of waiting to be sent`, async () => {
      const { store, db, clock, actions, seed, sweep } = guardStand();
      const [dead] = seed(1, GONE);
      db.add(NOT_STALE);
      const { apply } = store;
      vi.spyOn(store, "apply").mockImplementation(async (write, fence) => {
        // A pool whose connections are all in use.
        clock.block(waitedMs);
        return await apply.call(store, write, fence);
      });
      await sweep();
      expect(actions()).toEqual(expected);
      expect(dead?.status).toBe("failed" in expected ? "FAILED" : "RUNNING");
    });
  }

  it("look at the age of an answer again before a write is repeated", async () => {
    const { store, db, clock, actions, seed, sweep } = guardStand();
    const [dead] = seed(1, GONE);
    db.add(NOT_STALE);
    const { apply } = store;
    let attempts = 0;
    vi.spyOn(store, "apply").mockImplementation(async (write, fence) => {
      attempts += 1;
      if (attempts > 1) return await apply.call(store, write, fence);
      fence.check();
      clock.block(30_001);
      throw new StoreUnavailableError("no answer");
    });
    await sweep();
    expect(attempts).toBe(2);
    expect(actions()).toEqual({ suspected: 1 });
    expect(dead?.status).toBe("RUNNING");
  });

  it("act on what was said thirty seconds ago", async () => {
    const { db, clock, seed, sweep, backend } = guardStand();
    const [dead] = seed(1, GONE);
    seed(1, ALIVE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    clock.block(30_000);
    await clock.advance(0);
    expect(dead?.status).toBe("FAILED");
    held.answer(ALIVE);
    await swept;
  });

  it("come again and again: a later one decides on what came after the first", async () => {
    const { db, clock, seed, sweep, backend } = guardStand();
    db.add(NOT_STALE);
    const [first] = seed(1, GONE);
    const second = db.add();
    const answers = [backend.holds(second.id), backend.holds(db.add().id)];
    const swept = sweep();
    await clock.advance(10_000);
    expect(first?.status).toBe("FAILED");
    answers[0]?.answer(GONE);
    await clock.advance(10_000);
    expect(second.status).toBe("FAILED");
    answers[1]?.answer(ALIVE);
    await swept;
  });

  for (const [alive, expected] of [
    [17, { deferred: 17, held: 6 }],
    [18, { deferred: 18, failed: 6 }],
  ] as const) {
    it(`measure six presumptions by all that answered: ${alive} alive`, async () => {
      const { actions, seed, sweep } = guardStand();
      seed(alive, ALIVE);
      seed(6, GONE);
      await sweep();
      expect(actions()).toEqual(expected);
    });
  }

  it("measure them by no run that gave no answer", async () => {
    const { db, actions, seed, sweep } = guardStand();
    db.add(NOT_STALE);
    seed(18, SILENT);
    seed(6, GONE);
    await sweep();
    expect(actions()).toEqual({ undetermined: 18, held: 6 });
  });

  it("are waited for at the end, so that the last one knows what they have applied", async () => {
    const { store, db, clock, actions, seed, sweep, backend } = guardStand();
    db.add(NOT_STALE);
    const [first] = seed(1, GONE);
    const second = db.add();
    const late = backend.holds(second.id);
    const gate = Promise.withResolvers<void>();
    const { apply } = store;
    vi.spyOn(store, "apply").mockImplementationOnce(async (write, fence) => {
      await gate.promise;
      return await apply.call(store, write, fence);
    });
    const swept = sweep({ guard: { ...GUARD, perHour: 1 } });
    await clock.advance(10_000);
    late.answer(GONE);
    await settle();
    gate.resolve();
    await swept;
    expect(actions()).toEqual({ failed: 1, held: 1 });
    expect(first?.status).toBe("FAILED");
  });

  it("are waited for when the sweep cannot go on: what they write has ended by then", async () => {
    const { store, db, clock, seed, sweep, backend } = guardStand();
    db.add(NOT_STALE);
    seed(1, GONE);
    const other = backend.holds(db.add().id);
    const gate = Promise.withResolvers<void>();
    const { apply } = store;
    vi.spyOn(store, "apply").mockImplementationOnce(async (write, fence) => {
      const result = await apply.call(store, write, fence);
      await gate.promise;
      return result;
    });
    const failure = new StoreUnavailableError("away");
    vi.spyOn(store, "defer").mockRejectedValue(failure);
    vi.spyOn(store, "facts").mockRejectedValue(failure);
    let ended = false;
    const swept = sweep().catch((error: unknown) => {
      ended = true;
      return error;
    });
    await clock.advance(10_000);
    other.answer(ALIVE);
    await settle();
    await settle();
    expect(ended).toBe(false);
    gate.resolve();
    expect(await swept).toBe(failure);
  });

  it("end the sweep with what they could not go on with, though runs hang", async () => {
    const { store, db, clock, seed, sweep, backend } = guardStand();
    db.add(NOT_STALE);
    seed(1, GONE);
    backend.holds(db.add().id);
    const failure = new StoreUnavailableError("away");
    vi.spyOn(store, "controlRuns").mockRejectedValue(failure);
    const swept = expect(sweep()).rejects.toBe(failure);
    await clock.advance(10_000);
    await swept;
  });

  const unwritten: readonly (readonly [string, WriteResult])[] = [
    ["busy", { kind: "busy" }],
    ["lost-race", { kind: "none" }],
    ["error", { kind: "refused", cause: "SQLSTATE 23514" }],
  ];
  for (const [action, result] of unwritten) {
    it(`count a run that came to ${action} not as one of the hour`, async () => {
      const { store, db, clock, actions, seed, sweep, backend } = guardStand();
      db.add(NOT_STALE);
      seed(1, GONE);
      const late = backend.holds(db.add().id);
      vi.spyOn(store, "apply").mockImplementationOnce(async (write) => {
        if (action === "lost-race") db.change(write.run.id, { status: "COMPLETED" });
        return result;
      });
      const swept = sweep({ guard: { ...GUARD, perHour: 1 } });
      await clock.advance(10_000);
      late.answer(GONE);
      await swept;
      expect(actions()).toEqual({ [action]: 1, failed: 1 });
    });
  }

  it("leave at the end what grew old while the event loop was blocked", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    seed(1, GONE);
    const other = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    clock.block(30_001);
    other.answer(ALIVE);
    await swept;
    expect(actions()).toEqual({ suspected: 1, deferred: 1 });
    expect(db.suspicions.get("run-00001")).toMatchObject({ presumedTimes: 1, heldSinceMs: null });
  });

  it("do not come again before another 64 answers", async () => {
    const { db, clock, seed, sweep, backend } = guardStand();
    seed(63, ALIVE);
    const [first] = seed(1, GONE);
    const second = db.add();
    const answers = [backend.holds(second.id), backend.holds(db.add().id)];
    const swept = sweep();
    await vi.waitFor(() => expect(first?.status).toBe("FAILED"));
    answers[0]?.answer(GONE);
    await clock.advance(0);
    expect(second.status).toBe("RUNNING");
    answers[1]?.answer(ALIVE);
    await swept;
    expect(second.status).toBe("FAILED");
  });

  it("say once why they hold", async () => {
    const { db, clock, actions, seed, sweep, backend, onHold, logged } = guardStand();
    backend.says(db.add(NOT_STALE).id, GONE);
    seed(1, GONE);
    const late = backend.holds(db.add().id);
    const swept = sweep();
    await clock.advance(40_000);
    expect(actions()).toEqual({ held: 1 });
    late.answer(GONE);
    await swept;
    expect(actions()).toEqual({ held: 2 });
    expect(onHold.mock.calls).toEqual([["no sign of life from any run"]]);
    const held = "info run held back by the guard";
    expect(logged()).toEqual(["warn the guard holds verdicts back", held, held]);
  });

  it("see life that a run showed while control samples were asked", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    seed(1, GONE);
    const alive = backend.holds(db.add().id);
    const sample = backend.holds(db.add(NOT_STALE).id);
    const swept = sweep();
    await clock.advance(10_000);
    await sample.asked;
    alive.answer(ALIVE);
    await settle();
    sample.answer(GONE);
    await swept;
    expect(actions()).toEqual({ deferred: 1, failed: 1 });
  });

  it("leave a run to a callback that came while its verdict waited", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    const [dead] = seed(1, GONE);
    seed(1, ALIVE);
    const held = backend.holds(db.add().id);
    const swept = sweep();
    await settle();
    db.change(dead?.id ?? "", { status: "COMPLETED" });
    await clock.advance(10_000);
    expect(actions()).toEqual({ deferred: 1, "lost-race": 1 });
    held.answer(ALIVE);
    await swept;
  });

  it("end with the sweep", async () => {
    const { clock, seed, sweep } = guardStand();
    seed(1, GONE);
    await sweep();
    expect(clock.sleeping).toBe(0);
  });
});
