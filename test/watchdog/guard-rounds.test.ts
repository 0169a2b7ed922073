import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../src/rules/model.ts";
import { settle } from "../support/fake-clock.ts";
import { failure } from "../support/snapshot.ts";
import { GUARD, sweepStand } from "../support/sweep-world.ts";

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
      expect(run).toMatchObject({ status: "RUNNING", timeoutAtMs: db.nowMs() + 45_000 });
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

  it("does not count what a sweep of named runs cannot confirm", async () => {
    const { db, actions, seed, sweep } = stand();
    const dead = seed(10, GONE);
    for (const { id } of dead) suspectOnce(db, id);
    const runIds = dead.slice(0, 3).map(({ id }) => id);
    await sweep({ guard: { ...GUARD, confirmations: 2 }, runIds });
    expect(actions()).toEqual({ failed: 3 });
  });

  it("is not outwitted by a limit", async () => {
    const { db, actions, seed, sweep } = stand();
    for (const { id } of seed(10, GONE)) suspectOnce(db, id);
    await sweep({ guard: { ...GUARD, confirmations: 2 }, limit: 3 });
    expect(actions()).toEqual({ held: 3 });
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
