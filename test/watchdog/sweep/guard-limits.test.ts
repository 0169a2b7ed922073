import { describe, expect, it } from "vitest";
import {
  ALIVE,
  GONE,
  guardStand,
  NOT_STALE,
  suspectOnce,
} from "../../support/stands/guard-stand.ts";
import { GUARD } from "../../support/stands/sweep-world.ts";

describe("the guard of a limited sweep", () => {
  const TWICE = { guard: { ...GUARD, confirmations: 2 } };

  it("does not let a mass pass in pieces", async () => {
    const { db, clock, actions, seed, sweep } = guardStand();
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
    const { db, clock, actions, seed, sweep } = guardStand();
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
    const { db, actions, seed, sweep } = guardStand();
    for (const { id } of seed(10, GONE)) suspectOnce(db, id);
    await sweep({ ...TWICE, limit: 3 });
    expect(actions()).toEqual({ held: 3 });
  });

  it("writes a person's reason to presumptions alone", async () => {
    const { db, seed, sweep } = guardStand();
    seed(1, GONE);
    seed(1, { kind: "exited", exitCode: 1, stdout: "", stderr: "" });
    await sweep({ overrideReason: "stopped by hand" });
    const reasons = db.verdicts.map(({ basis, overrideReason }) => [basis, overrideReason]).sort();
    expect(reasons).toEqual([
      ["presumption", "stopped by hand"],
      ["proof", null],
    ]);
  });

  it("lets exactly those pass that a person names with a reason", async () => {
    const { db, actions, seed, sweep } = guardStand();
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
      const { db, actions, seed, sweep } = guardStand();
      db.add(NOT_STALE);
      const [named] = seed(7, GONE);
      for (const { id } of db.runs.values()) if (id !== "run-00001") suspectOnce(db, id);
      db.leadership.lastReport = { counts: { deferred: lastAnswered - 2, failed: 1, held: 1 } };
      await sweep({ ...TWICE, runIds: [named?.id ?? ""] });
      expect(actions()).toEqual({ [expected]: 1 });
    });
  }

  it("does not take the runs that somebody chose for the measure of what is normal", async () => {
    const { db, actions, seed, sweep } = guardStand();
    const chosen = [...seed(60, ALIVE), ...seed(6, GONE)];
    for (const { id } of chosen.slice(60)) suspectOnce(db, id);
    await sweep({ ...TWICE, runIds: chosen.map(({ id }) => id) });
    expect(actions()).toEqual({ deferred: 60, held: 6 });
  });

  it("does not take what came within a limit for the measure either", async () => {
    const { db, actions, seed, sweep } = guardStand();
    seed(60, ALIVE);
    for (const { id } of seed(6, GONE)) suspectOnce(db, id);
    await sweep({ ...TWICE, limit: 66 });
    expect(actions()).toEqual({ deferred: 60, held: 6 });
  });
});

describe("the guard's cap of an hour", () => {
  it("follows what was proven in the last hour", async () => {
    const { db, actions, seed, sweep } = guardStand();
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
      const { db, actions, seed, sweep, backend } = guardStand();
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
    const { db, seed, sweep, backend } = guardStand();
    backend.needs = ["bashCommandId"];
    seed(1, GONE);
    db.add({ ...NOT_STALE, bashCommandId: null });
    const fit = db.add({ ...NOT_STALE, sandboxId: null });
    await sweep();
    expect(backend.asked.slice(1)).toEqual([fit.id]);
  });

  it("are not replaced by runs about which nobody could be asked", async () => {
    const { db, actions, seed, sweep, backend } = guardStand();
    seed(2, GONE);
    seed(3, { kind: "no-command", sandbox: "not-asked" });
    backend.says(db.add(NOT_STALE).id, GONE);
    await sweep();
    expect(actions()).toEqual({ held: 2, deferred: 3 });
  });
});
