import { describe, expect, it, vi } from "vitest";
import type { SharedApi } from "../../../src/watchdog/ports.ts";
import { settle } from "../../support/memory/fake-clock.ts";
import { SHIELD_MS, sweepStand } from "../../support/stands/sweep-world.ts";

const PAUSED = "the sandbox API asked for a pause";

describe("a sweep whose API wants no questions", () => {
  it("asks nothing, reads no run, and defers all of them, a page at a time", async () => {
    const { db, store, sweep, outcomes, backend } = refusing();
    for (let count = 0; count < 7; count += 1) db.add();
    const read = vi.spyOn(store, "read");
    const defer = vi.spyOn(store, "deferSkipped");
    await sweep({ pageSize: 3, concurrency: 1 });
    expect(backend.asked).toEqual([]);
    expect(read).not.toHaveBeenCalled();
    expect(defer.mock.calls.map(([ids]) => ids.length)).toEqual([3, 3, 1]);
    expect(outcomes).toHaveLength(7);
    expect(outcomes[0]).toMatchObject({ action: "skipped", reason: PAUSED, verifyMs: null });
    // In the order in which they came, a microsecond apart.
    for (const [index, run] of [...db.runs.values()].entries()) {
      expect(run.timeoutAtMs).toBeCloseTo(db.nowMs() + 45_000 + SHIELD_MS + (index + 1) / 1000, 3);
    }
  });

  it("counts no attempt and no answer", async () => {
    const { db, sweep } = refusing();
    const { id } = db.add();
    db.suspect(id, { presumedTimes: 1, unknownTimes: 2, unknownSinceMs: 5 });
    await sweep();
    expect(db.suspicions.get(id)).toMatchObject({
      presumedTimes: 1,
      unknownTimes: 2,
      unknownSinceMs: 5,
      errorTimes: 0,
    });
  });

  it("goes on asking when the API lets it again", async () => {
    const { db, sweep, outcomes, api, store } = refusing();
    for (let count = 0; count < 3; count += 1) db.add();
    const { deferSkipped } = store;
    vi.spyOn(store, "deferSkipped").mockImplementation(async (...args) => {
      await deferSkipped.apply(store, args);
      api.blockedReason = null;
    });
    await sweep({ pageSize: 1, concurrency: 1 });
    expect(outcomes.map(({ action }) => action)).toEqual(["skipped", "deferred", "deferred"]);
  });

  it("leaves a run that was refused on the way as it leaves the others", async () => {
    const { db, sweep, outcomes, api, backend } = refusing();
    api.blockedReason = null;
    const first = db.add();
    const rest = [db.add(), db.add()];
    const held = backend.holds(first.id);
    const swept = sweep({ concurrency: 1 });
    await settle();
    api.blockedReason = PAUSED;
    held.answer({ kind: "not-asked", reason: "the circuit is open" });
    await swept;
    expect(outcomes.map(({ runId, reason }) => [runId, reason])).toEqual([
      [first.id, "the circuit is open"],
      ...rest.map(({ id }) => [id, PAUSED]),
    ]);
    expect(backend.asked).toEqual([first.id]);
  });

  it("leaves a row alone that somebody is writing, or that has ended meanwhile", async () => {
    const { db, store, sweep } = refusing();
    const locked = db.add();
    const ended = db.add();
    db.locked.add(locked.id);
    const { deferSkipped } = store;
    vi.spyOn(store, "deferSkipped").mockImplementation((...args) => {
      db.change(ended.id, { status: "COMPLETED" });
      return deferSkipped.apply(store, args);
    });
    const before = [locked.timeoutAtMs, ended.timeoutAtMs];
    await sweep();
    expect([locked.timeoutAtMs, ended.timeoutAtMs]).toEqual(before);
  });

  it("asks no controlRun either, and lets nothing through", async () => {
    const { db, sweep, outcomes, api, backend, clock } = refusing();
    api.blockedReason = null;
    const dead = db.add();
    backend.says(dead.id, { kind: "gone", reason: "missing" });
    const held = backend.holds(db.add().id);
    const controlRun = db.add({ timeoutAtMs: Number.MAX_SAFE_INTEGER / 2 });
    const swept = sweep();
    await settle();
    api.blockedReason = PAUSED;
    await clock.advance(10_000);
    held.answer({ kind: "not-asked", reason: PAUSED });
    await swept;
    expect(backend.asked).not.toContain(controlRun.id);
    expect(dead.status).toBe("RUNNING");
    expect(outcomes.map(({ action }) => action).sort()).toEqual(["held", "skipped"]);
  });
});

function refusing() {
  const world = sweepStand();
  const api = {
    throttle: { pausedForMs: 0, concurrency: null },
    breaker: "closed",
    blockedReason: PAUSED as string | null,
    restore() {},
  } satisfies SharedApi;
  world.backend.api = api;
  return { ...world, api };
}
