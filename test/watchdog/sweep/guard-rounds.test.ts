import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import {
  ALIVE,
  GONE,
  guardStand,
  NOT_STALE,
  SILENT,
  suspectOnce,
} from "../../support/stands/guard-stand.ts";
import { GUARD, SHIELD_MS } from "../../support/stands/sweep-world.ts";

describe("the guard with few presumptions", () => {
  it("lets them through when a run of the sweep shows life", async () => {
    const { actions, seed, sweep } = guardStand();
    seed(3, GONE);
    seed(1, ALIVE);
    await sweep();
    expect(actions()).toEqual({ failed: 3, deferred: 1 });
  });

  it("lets them through when a controlRun shows life, and writes nothing about it", async () => {
    const { db, actions, seed, sweep, backend } = guardStand();
    seed(2, GONE);
    const controlRun = db.add(NOT_STALE);
    const before = { ...controlRun };
    await sweep();
    expect(actions()).toEqual({ failed: 2 });
    expect(backend.asked).toContain(controlRun.id);
    expect(controlRun).toEqual(before);
    expect(db.suspicions.size).toBe(0);
  });

  it("asks no controlRun when a run of the sweep has shown life", async () => {
    const { db, seed, sweep, backend } = guardStand();
    seed(1, ALIVE);
    seed(1, GONE);
    const controlRun = db.add(NOT_STALE);
    await sweep({ concurrency: 1 });
    expect(backend.asked).not.toContain(controlRun.id);
  });

  it("asks no controlRun when no presumption waits", async () => {
    const { db, seed, sweep, backend } = guardStand();
    seed(2, SILENT);
    const controlRun = db.add(NOT_STALE);
    await sweep();
    expect(backend.asked).not.toContain(controlRun.id);
  });

  it("asks three control runs at most, once in a sweep", async () => {
    const { db, clock, seed, sweep, backend } = guardStand();
    seed(1, GONE);
    const held = backend.holds(db.add().id);
    const controlRuns = Array.from({ length: 5 }, () => db.add(NOT_STALE).id);
    for (const id of controlRuns) backend.says(id, GONE);
    const swept = sweep();
    await clock.advance(25_000);
    held.answer(SILENT);
    await swept;
    expect(backend.asked.filter((id) => controlRuns.includes(id))).toHaveLength(3);
  });

  const silent: readonly (readonly [string, Evidence])[] = [
    ["are gone as well", GONE],
    ["tell nothing", SILENT],
    ["are starting", { kind: "starting" }],
  ];
  for (const [name, evidence] of silent) {
    it(`holds all of them back when the control runs ${name}`, async () => {
      const { db, actions, seed, sweep, backend, outcomes, onHold } = guardStand();
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

  it("does not wait longer than ten seconds for a controlRun that hangs", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    seed(1, GONE);
    const controlRun = db.add(NOT_STALE).id;
    backend.holds(controlRun);
    const swept = sweep();
    await clock.advance(9_999);
    expect(actions()).toEqual({});
    await clock.advance(1);
    await swept;
    expect(actions()).toEqual({ held: 1 });
    expect(backend.aborted).toEqual([controlRun]);
  });

  it("lets five an hour through when there is nobody to ask, earlier sweeps included", async () => {
    const { db, clock, actions, seed, sweep } = guardStand();
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
    const { actions, seed, sweep } = guardStand();
    seed(6, GONE);
    seed(10, ALIVE);
    await sweep({ concurrency: 1 });
    expect(actions()).toEqual({ held: 6, deferred: 10 });
  });

  it("sees it before its first victim, in what earlier sweeps suspected", async () => {
    const { db, actions, seed, sweep, clock } = guardStand();
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
    const { db, actions, seed, sweep } = guardStand();
    const suspected = [...seed(40, ALIVE), ...seed(5, GONE)];
    for (const { id } of suspected) suspectOnce(db, id);
    await sweep({ guard: { ...GUARD, confirmations: 2 } });
    expect(actions()).toEqual({ deferred: 40, failed: 5 });
  });

  it("counts suspected runs that gave no answer", async () => {
    const { db, actions, seed, sweep } = guardStand();
    db.add(NOT_STALE);
    for (const { id } of [...seed(5, GONE), ...seed(1, SILENT)]) suspectOnce(db, id);
    await sweep({ guard: { ...GUARD, confirmations: 2 } });
    expect(actions()).toEqual({ held: 5, undetermined: 1 });
  });

  it("does not count suspected runs that a callback ended meanwhile", async () => {
    const { db, store, actions, seed, sweep } = guardStand();
    db.add(NOT_STALE);
    for (const { id } of seed(6, GONE)) suspectOnce(db, id);
    const { read } = store;
    vi.spyOn(store, "read").mockImplementationOnce(async (runId, query) => {
      db.change(runId, { status: "COMPLETED" });
      return await read.call(store, runId, query);
    });
    await sweep({ guard: { ...GUARD, confirmations: 2 } });
    expect(actions()).toEqual({ "lost-race": 1, failed: 5 });
  });

  it("leaves proofs alone", async () => {
    const { actions, seed, sweep } = guardStand();
    seed(6, GONE);
    seed(3, { kind: "exited", exitCode: 1, stdout: "", stderr: "" });
    await sweep();
    expect(actions()).toEqual({ held: 6, failed: 3 });
  });

  it("lets through what has waited a day beyond its hard deadline, oldest first, up to the cap", async () => {
    const { db, actions, seed, sweep } = guardStand();
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
    const { db, clock, actions, seed, sweep, backend } = guardStand();
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
