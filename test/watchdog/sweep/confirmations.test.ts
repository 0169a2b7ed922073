import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { failure } from "../../support/stands/snapshot.ts";
import { GUARD, OPTIONS, SHIELD_MS, sweepStand } from "../../support/stands/sweep-world.ts";

const GONE: Evidence = { kind: "gone", reason: "missing" };
const ALIVE: Evidence = { kind: "running", output: "none" };
const SILENT: Evidence = { kind: "unreachable", failure: failure() };
const TWICE = { guard: { ...GUARD, confirmations: 2 } };
const { deferMs } = OPTIONS.sweep;

describe("a presumption", () => {
  it("is a suspicion at the first observation: the run stays RUNNING, and what it says about itself stays", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const run = db.add({ statusDetail: '{"detail":"before"}' });
    backend.says(run.id, GONE);
    await sweep(TWICE);
    expect(outcomes).toMatchObject([
      { runId: run.id, action: "suspected", basis: "presumption", reason: "sandbox missing" },
    ]);
    expect(run).toMatchObject({ status: "RUNNING", statusDetail: '{"detail":"before"}' });
    expect(run.timeoutAtMs).toBe(db.nowMs() + deferMs + SHIELD_MS);
    const look = { lookAtMs: db.nowMs() + deferMs, shieldAtMs: run.timeoutAtMs };
    const seen = { presumedTimes: 1, heldSinceMs: null };
    expect(db.suspicions.get(run.id)).toMatchObject({ ...seen, ...look });
    expect(db.verdicts).toEqual([]);
  });

  it("ends the run at the second observation, and is forgotten", async () => {
    const { db, clock, backend, sweep, outcomes } = sweepStand();
    const run = db.add();
    backend.says(run.id, GONE);
    await sweep(TWICE);
    await clock.advance(60_000);
    await sweep(TWICE);
    expect(outcomes.map(({ action }) => action)).toEqual(["suspected", "failed"]);
    expect(run.status).toBe("FAILED");
    expect(db.suspicions.size).toBe(0);
    expect(db.verdicts).toMatchObject([{ basis: "presumption", overrideReason: null }]);
  });

  it("takes as many observations as are asked for", async () => {
    const { db, clock, backend, sweep, outcomes } = sweepStand();
    backend.says(db.add().id, GONE);
    for (let minute = 0; minute < 4; minute += 1) {
      await sweep({ guard: { ...GUARD, confirmations: 4 } });
      await clock.advance(60_000);
    }
    const actions = outcomes.map(({ action }) => action);
    expect(actions).toEqual(["suspected", "suspected", "suspected", "failed"]);
  });

  it("is not confirmed by a second look at the same moment", async () => {
    const { db, clock, backend, sweep, outcomes } = sweepStand();
    const run = db.add();
    backend.says(run.id, GONE);
    await sweep(TWICE);
    await clock.advance(deferMs - 1);
    await sweep({ ...TWICE, runIds: [run.id] });
    expect(outcomes.map(({ action }) => action)).toEqual(["suspected", "suspected"]);
    expect(db.suspicions.get(run.id)?.presumedTimes).toBe(1);
  });

  it("is confirmed by a look one deferral later, whatever the deadline says by then", async () => {
    const { db, clock, backend, sweep, outcomes } = sweepStand();
    const run = db.add();
    backend.says(run.id, GONE);
    await sweep(TWICE);
    await clock.advance(deferMs);
    db.change(run.id, { timeoutAtMs: db.nowMs() + 3_600_000 });
    await sweep({ ...TWICE, runIds: [run.id] });
    expect(outcomes.map(({ action }) => action)).toEqual(["suspected", "failed"]);
  });

  const between: readonly (readonly [string, Evidence | null, string, string])[] = [
    ["a running command", ALIVE, "deferred", "suspected"],
    ["a starting sandbox", { kind: "starting" }, "deferred", "suspected"],
    ["an answer that told nothing", SILENT, "undetermined", "failed"],
  ];
  for (const [name, evidence, action, then] of between) {
    it(`is ${then} when it comes again after ${name}`, async () => {
      const { db, clock, backend, sweep, outcomes } = sweepStand();
      const { id } = db.add();
      for (const answer of [GONE, evidence, GONE]) {
        if (answer !== null) backend.says(id, answer);
        await sweep(TWICE);
        await clock.advance(60_000);
      }
      expect(outcomes.map((outcome) => outcome.action)).toEqual(["suspected", action, then]);
    });
  }

  for (const change of [
    { sandboxId: "another" },
    { bashCommandId: "another" },
    { beganAtMs: Date.UTC(2025, 11, 31, 23, 59) },
  ]) {
    const [what] = Object.keys(change);
    it(`starts anew when the run has another ${what}`, async () => {
      const { db, clock, backend, sweep, outcomes } = sweepStand();
      const { id } = db.add();
      backend.says(id, GONE);
      await sweep(TWICE);
      await clock.advance(60_000);
      db.change(id, change);
      await sweep(TWICE);
      expect(outcomes.map(({ action }) => action)).toEqual(["suspected", "suspected"]);
    });
  }

  it("is asked about again at growing intervals, and costs no question meanwhile", async () => {
    const { db, clock, backend, sweep } = sweepStand();
    const { id } = db.add({ beganAtMs: db.nowMs() - 3_600_000 });
    backend.says(id, SILENT);
    const askedAt: number[] = [];
    for (let minute = 0; minute < 60; minute += 1) {
      const before = backend.asked.length;
      await sweep(TWICE);
      if (backend.asked.length > before) askedAt.push(minute);
      await clock.advance(60_000);
    }
    expect(askedAt).toEqual([0, 1, 3, 7, 14, 27, 43, 59]);
  });

  it("becomes of silence after a day without a break, and needs no second observation", async () => {
    const { db, backend, sweep, outcomes } = sweepStand();
    const dayMs = 86_400_000;
    const beganAtMs = db.nowMs() - 2 * dayMs;
    const inTime = db.add({ beganAtMs });
    const over = db.add({ beganAtMs });
    const young = db.add();
    for (const { id } of [inTime, over, young]) backend.says(id, SILENT);
    db.suspect(inTime.id, { unknownTimes: 9, unknownSinceMs: db.nowMs() - dayMs + 1 });
    db.suspect(over.id, { unknownTimes: 9, unknownSinceMs: db.nowMs() - dayMs });
    db.suspect(young.id, { unknownTimes: 9, unknownSinceMs: db.nowMs() - dayMs });
    await sweep({ guard: { ...GUARD, confirmations: 2 } });
    const actions = new Map(outcomes.map(({ runId, action }) => [runId, action]));
    expect(actions.get(inTime.id)).toBe("undetermined");
    expect(actions.get(over.id)).toBe("failed");
    expect(actions.get(young.id)).toBe("undetermined");
    expect(over.errorDetail).toMatch(/^Timed out: could not be verified: /);
  });
});
