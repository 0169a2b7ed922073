import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../src/rules/model.ts";
import { StoreUnavailableError } from "../../src/watchdog/ports.ts";
import type { WriteResult } from "../../src/watchdog/store-ports.ts";
import { settle } from "../support/fake-clock.ts";
import { failure } from "../support/snapshot.ts";
import { GUARD, SHIELD_MS, sweepStand } from "../support/sweep-world.ts";

const GONE: Evidence = { kind: "gone", reason: "missing", detail: "" };
const ALIVE: Evidence = { kind: "running", output: "none" };
const SILENT: Evidence = { kind: "unreachable", failure: failure() };
const NOT_STALE = { timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 };

describe("the guard with few presumptions", () => {
  it("lets them through when a run of the sweep shows life", async () => {
    const { actions, seed, sweep } = stand();
    seed(3, GONE);
    seed(1, ALIVE);
    await sweep();
    expect(actions()).toEqual({ failed: 3, deferred: 1 });
  });

  it("lets them through when a canary shows life, and writes nothing about it", async () => {
    const { db, actions, seed, sweep, backend } = stand();
    seed(2, GONE);
    const canary = db.add(NOT_STALE);
    const before = { ...canary };
    await sweep();
    expect(actions()).toEqual({ failed: 2 });
    expect(backend.asked).toContain(canary.id);
    expect(canary).toEqual(before);
    expect(db.suspicions.size).toBe(0);
  });

  it("asks no canary when a run of the sweep has shown life", async () => {
    const { db, seed, sweep, backend } = stand();
    seed(1, ALIVE);
    seed(1, GONE);
    const canary = db.add(NOT_STALE);
    await sweep({ concurrency: 1 });
    expect(backend.asked).not.toContain(canary.id);
  });

  it("asks no canary when no presumption waits", async () => {
    const { db, seed, sweep, backend } = stand();
    seed(2, SILENT);
    const canary = db.add(NOT_STALE);
    await sweep();
    expect(backend.asked).not.toContain(canary.id);
  });

  it("asks three canaries at most, once in a sweep", async () => {
    const { db, clock, seed, sweep, backend } = stand();
    seed(1, GONE);
    const held = backend.holds(db.add().id);
    const canaries = Array.from({ length: 5 }, () => db.add(NOT_STALE).id);
    for (const id of canaries) backend.says(id, GONE);
    const swept = sweep();
    await clock.advance(25_000);
    held.answer(SILENT);
    await swept;
    expect(backend.asked.filter((id) => canaries.includes(id))).toHaveLength(3);
  });

  const silent: readonly (readonly [string, Evidence])[] = [
    ["are gone as well", GONE],
    ["tell nothing", SILENT],
    ["are starting", { kind: "starting" }],
  ];
  for (const [name, evidence] of silent) {
    it(`holds all of them back when the canaries ${name}`, async () => {
      const { db, actions, seed, sweep, backend, outcomes, onHold } = stand();
      const [run] = seed(2, GONE);
      backend.says(db.add(NOT_STALE).id, evidence);
      await sweep();
      expect(actions()).toEqual({ held: 2 });
      expect(outcomes[0]).toMatchObject({
        basis: "presumption",
        reason: "sandbox missing, no sign of life from any run",
      });
      expect(onHold.mock.calls).toEqual([["no sign of life from any run"]]);
      expect(run).toMatchObject({
        status: "RUNNING",
        timeoutAtMs: db.nowMs() + 45_000 + SHIELD_MS,
      });
      expect(db.suspicions.get(run?.id ?? "")).toMatchObject({
        presumedTimes: 1,
        heldSinceMs: db.nowMs(),
      });
    });
  }

  it("does not wait longer than ten seconds for a canary that hangs", async () => {
    const { db, clock, actions, seed, sweep, backend } = stand();
    seed(1, GONE);
    const canary = db.add(NOT_STALE).id;
    backend.holds(canary);
    const swept = sweep();
    await clock.advance(9_999);
    expect(actions()).toEqual({});
    await clock.advance(1);
    await swept;
    expect(actions()).toEqual({ held: 1 });
    expect(backend.aborted).toEqual([canary]);
  });

  it("lets five an hour through when there is nobody to ask, earlier sweeps included", async () => {
    const { db, clock, actions, seed, sweep } = stand();
    seed(4, GONE);
    await sweep();
    expect(actions()).toEqual({ failed: 4 });
    seed(2, GONE);
    await clock.advance(60_000);
    await sweep();
    expect(actions()).toEqual({ failed: 5, held: 1 });
    await clock.advance(3_540_000);
    db.change(db.add().id, { status: "COMPLETED" });
    await sweep();
    expect(actions()).toEqual({ failed: 6, held: 1 });
  });
});

describe("the guard with a mass", () => {
  it("holds every presumption back, also those that come first", async () => {
    const { actions, seed, sweep } = stand();
    seed(6, GONE);
    seed(10, ALIVE);
    await sweep({ concurrency: 1 });
    expect(actions()).toEqual({ held: 6, deferred: 10 });
  });

  it("sees it before its first victim, in what earlier sweeps suspected", async () => {
    const { db, actions, seed, sweep, clock } = stand();
    // Verified long after the first rounds.
    seed(1, ALIVE);
    const dead = seed(200, GONE);
    for (const { id } of dead) suspectOnce(db, id);
    const swept = sweep({ guard: { ...GUARD, confirmations: 2 }, concurrency: 1 });
    await clock.advance(0);
    await swept;
    expect(actions()).toEqual({ deferred: 1, held: 200 });
  });

  it("is over when the suspected prove alive", async () => {
    const { db, actions, seed, sweep } = stand();
    const suspected = [...seed(40, ALIVE), ...seed(5, GONE)];
    for (const { id } of suspected) suspectOnce(db, id);
    await sweep({ guard: { ...GUARD, confirmations: 2 } });
    expect(actions()).toEqual({ deferred: 40, failed: 5 });
  });

  it("leaves proofs alone", async () => {
    const { actions, seed, sweep } = stand();
    seed(6, GONE);
    seed(3, { kind: "exited", exitCode: 1, stdout: "", stderr: "" });
    await sweep();
    expect(actions()).toEqual({ held: 6, failed: 3 });
  });

  it("lets through what has waited a day beyond its hard deadline, oldest first, up to the cap", async () => {
    const { db, actions, seed, sweep } = stand();
    const hardMs = 1_500_000 + 86_400_000;
    const atBound = seed(3, GONE, { beganAtMs: db.nowMs() - hardMs });
    const [oldest] = seed(1, GONE, { beganAtMs: db.nowMs() - hardMs - 1 });
    seed(6, GONE, { beganAtMs: db.nowMs() - hardMs + 1 });
    await sweep({ guard: { ...GUARD, perHour: 2 } });
    expect(actions()).toEqual({ failed: 2, held: 8 });
    expect(oldest?.status).toBe("FAILED");
    expect(atBound.filter(({ status }) => status === "FAILED")).toHaveLength(1);
  });

  it("is let through with a person's reason, which goes to the journal and is not counted", async () => {
    const { db, clock, actions, seed, sweep, backend } = stand();
    seed(30, GONE);
    await sweep();
    expect(actions()).toEqual({ held: 30 });
    // Their deadlines were moved ahead a moment ago.
    await clock.advance(1);
    await sweep({ overrideReason: "the cluster was rebuilt" });
    expect(actions()).toEqual({ held: 30, failed: 30 });
    expect(new Set(db.verdicts.map(({ overrideReason }) => overrideReason))).toEqual(
      new Set(["the cluster was rebuilt"]),
    );
    expect(new Set(backend.asked.slice(30)).size).toBe(30);
    expect(backend.asked).toHaveLength(60);

    seed(5, GONE);
    await clock.advance(60_000);
    await sweep();
    expect(actions()).toEqual({ held: 30, failed: 35 });
  });
});

describe("the guard of a limited sweep", () => {
  const TWICE = { guard: { ...GUARD, confirmations: 2 } };

  it("does not let a mass pass in pieces", async () => {
    const { db, clock, actions, seed, sweep } = stand();
    seed(10, ALIVE);
    const dead = seed(40, GONE);
    for (const { id } of dead) suspectOnce(db, id);
    for (let piece = 0; piece < 8; piece += 1) {
      const runIds = dead.slice(5 * piece, 5 * piece + 5).map(({ id }) => id);
      await sweep({ ...TWICE, runIds });
      await clock.advance(60_000);
    }
    expect(actions()).toEqual({ held: 40 });
    expect(db.verdicts).toEqual([]);
  });

  it("does not let a mass pass in pieces that were first seen one by one", async () => {
    const { db, clock, actions, seed, sweep } = stand();
    db.add(NOT_STALE);
    const dead = seed(40, GONE);
    for (let piece = 0; piece < 8; piece += 1) {
      const runIds = dead.slice(5 * piece, 5 * piece + 5).map(({ id }) => id);
      for (const _ of [1, 2]) {
        await sweep({ ...TWICE, runIds });
        await clock.advance(60_000);
      }
    }
    expect(actions()).toEqual({ suspected: 40, failed: 5, held: 35 });
  });

  it("is not outwitted by a limit", async () => {
    const { db, actions, seed, sweep } = stand();
    for (const { id } of seed(10, GONE)) suspectOnce(db, id);
    await sweep({ ...TWICE, limit: 3 });
    expect(actions()).toEqual({ held: 3 });
  });

  it("lets exactly those pass that a person names with a reason", async () => {
    const { db, actions, seed, sweep } = stand();
    const dead = seed(40, GONE);
    for (const { id } of dead) suspectOnce(db, id);
    const runIds = dead.slice(3, 8).map(({ id }) => id);
    await sweep({ ...TWICE, runIds, overrideReason: "stopped by hand" });
    expect(actions()).toEqual({ failed: 5 });
    const ended = dead.filter(({ status }) => status === "FAILED").map(({ id }) => id);
    expect(ended).toEqual(runIds);
  });

  for (const [lastAnswered, expected] of [
    [27, "held"],
    [28, "failed"],
  ] as const) {
    it(`is ${expected} where six others are suspected and the last full sweep answered ${lastAnswered}`, async () => {
      const { db, actions, seed, sweep } = stand();
      db.add(NOT_STALE);
      const [named] = seed(7, GONE);
      for (const { id } of db.runs.values()) if (id !== "run-00001") suspectOnce(db, id);
      db.leadership.lastReport = { counts: { deferred: lastAnswered - 2, failed: 1, held: 1 } };
      await sweep({ ...TWICE, runIds: [named?.id ?? ""] });
      expect(actions()).toEqual({ [expected]: 1 });
    });
  }

  it("does not take the runs that somebody chose for the measure of what is normal", async () => {
    const { db, actions, seed, sweep } = stand();
    const chosen = [...seed(60, ALIVE), ...seed(6, GONE)];
    for (const { id } of chosen.slice(60)) suspectOnce(db, id);
    await sweep({ ...TWICE, runIds: chosen.map(({ id }) => id) });
    expect(actions()).toEqual({ deferred: 60, held: 6 });
  });
});

describe("the guard's cap of an hour", () => {
  it("follows what was proven in the last hour", async () => {
    const { db, actions, seed, sweep } = stand();
    for (let count = 0; count < 400; count += 1) {
      db.addVerdict({ basis: "proof", cleanupState: "none" });
    }
    seed(400, ALIVE);
    seed(101, GONE, { beganAtMs: db.nowMs() - 86_400_000 });
    await sweep({ guard: { ...GUARD, ratio: 0.25 }, concurrency: 1 });
    expect(actions()).toEqual({ deferred: 400, failed: 100, held: 1 });
  });
});

describe("control samples", () => {
  const ids: readonly (readonly [string, object])[] = [
    ["both ids", {}],
    ["no ids", { sandboxId: null, bashCommandId: null }],
    ["a sandbox id only", { bashCommandId: null }],
    ["a command id only", { sandboxId: null }],
    ["no deadline", { timeoutAtMs: null }],
  ];
  for (const [what, run] of ids) {
    it(`are asked where the runs have ${what} and the backend needs none`, async () => {
      const { db, actions, seed, sweep, backend } = stand();
      seed(4, GONE, { ...run, timeoutAtMs: db.nowMs() - 1000 });
      for (let count = 0; count < 10; count += 1) {
        backend.says(db.add({ ...NOT_STALE, ...run }).id, GONE);
      }
      await sweep();
      expect(actions()).toEqual({ held: 4 });
      expect(backend.asked).toHaveLength(7);
    });
  }

  it("are only those with the ids that the backend needs", async () => {
    const { db, seed, sweep, backend } = stand();
    backend.needs = ["bashCommandId"];
    seed(1, GONE);
    db.add({ ...NOT_STALE, bashCommandId: null });
    const fit = db.add({ ...NOT_STALE, sandboxId: null });
    await sweep();
    expect(backend.asked.slice(1)).toEqual([fit.id]);
  });

  it("are not replaced by runs about which nobody could be asked", async () => {
    const { db, actions, seed, sweep, backend } = stand();
    seed(2, GONE);
    seed(3, { kind: "no-command", sandbox: "not-asked" });
    backend.says(db.add(NOT_STALE).id, GONE);
    await sweep();
    expect(actions()).toEqual({ held: 2, deferred: 3 });
  });
});

describe("the rounds of the guard", () => {
  it("come every ten seconds while runs hang", async () => {
    const { db, clock, actions, seed, sweep, backend } = stand();
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
    const { db, actions, seed, sweep, backend } = stand();
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
    const { db, clock, actions, seed, sweep, backend, outcomes } = stand();
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

  for (const [waitedMs, expected] of [
    [30_000, { failed: 1 }],
    [30_001, { suspected: 1 }],
  ] as const) {
    it(`look at the age of an answer where the fence is: after ${waitedMs} ms of waiting to be sent`, async () => {
      const { store, db, clock, actions, seed, sweep } = stand();
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
    const { store, db, clock, actions, seed, sweep } = stand();
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
    const { db, clock, seed, sweep, backend } = stand();
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
    const { db, clock, seed, sweep, backend } = stand();
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
      const { actions, seed, sweep } = stand();
      seed(alive, ALIVE);
      seed(6, GONE);
      await sweep();
      expect(actions()).toEqual(expected);
    });
  }

  it("are waited for at the end, so that the last one knows what they have applied", async () => {
    const { store, db, clock, actions, seed, sweep, backend } = stand();
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
    const { store, db, clock, seed, sweep, backend } = stand();
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
    const { store, db, clock, seed, sweep, backend } = stand();
    db.add(NOT_STALE);
    seed(1, GONE);
    backend.holds(db.add().id);
    const failure = new StoreUnavailableError("away");
    vi.spyOn(store, "canaries").mockRejectedValue(failure);
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
      const { store, db, actions, seed, sweep } = stand();
      db.add(NOT_STALE);
      const [, second] = seed(2, GONE);
      vi.spyOn(store, "apply").mockImplementationOnce(async (write) => {
        if (action === "lost-race") db.change(write.run.id, { status: "COMPLETED" });
        return result;
      });
      const limits = { guard: { ...GUARD, perHour: 1 }, concurrency: 1 };
      // The second one comes in a round of its own.
      await sweep({ ...limits, runIds: ["run-00002"] });
      await sweep({ ...limits, runIds: [second?.id ?? ""] });
      expect(actions()).toEqual({ [action]: 1, failed: 1 });
    });
  }

  it("leave a run to a callback that came while its verdict waited", async () => {
    const { db, clock, actions, seed, sweep, backend } = stand();
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
    const { clock, seed, sweep } = stand();
    seed(1, GONE);
    await sweep();
    expect(clock.sleeping).toBe(0);
  });
});

function stand() {
  const world = sweepStand();
  const { db, backend, outcomes } = world;
  return {
    ...world,
    seed(count: number, evidence: Evidence, run: Parameters<typeof db.add>[0] = {}) {
      return Array.from({ length: count }, () => {
        const added = db.add(run);
        backend.says(added.id, evidence);
        return added;
      });
    },
    actions() {
      const counts: Record<string, number> = {};
      for (const { action } of outcomes) counts[action] = (counts[action] ?? 0) + 1;
      return counts;
    },
  };
}

function suspectOnce(db: ReturnType<typeof sweepStand>["db"], runId: string): void {
  db.suspect(runId, {
    presumedTimes: 1,
    presumedReason: "sandbox missing",
    presumedLastAtMs: db.nowMs() - 60_000,
  });
}
