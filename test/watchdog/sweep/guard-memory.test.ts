/** What the guard keeps does not grow with the number of runs. */
import { describe, expect, it, vi } from "vitest";
import { ALIVE, GONE, guardStand, NOT_STALE } from "../../support/stands/guard-stand.ts";
import { GUARD } from "../../support/stands/sweep-world.ts";

const MANY = 1500;
const CONCURRENCY = 16;
const RUNS_PER_ROUND = 64;
const MOST_KEPT = 500;
const MOST_WAITING = 1000;

describe("the confirmed presumptions of a large fleet", () => {
  it("wait in a number that does not grow with it, and are all held", async () => {
    const { actions, seed, sweep, backend, outcomes } = guardStand();
    seed(MANY, GONE);
    let waiting = 0;
    const verify = backend.verify.bind(backend);
    vi.spyOn(backend, "verify").mockImplementation((run, signal) => {
      waiting = Math.max(waiting, backend.asked.length - outcomes.length);
      return verify(run, signal);
    });
    await sweep({ concurrency: CONCURRENCY });
    expect(actions()).toEqual({ held: MANY });
    expect(waiting).toBeLessThan(MOST_WAITING);
  });

  it("let no more runs be asked about while a round takes its time", async () => {
    const { db, clock, actions, seed, sweep, backend } = guardStand();
    const slow = backend.holds(db.add(NOT_STALE).id);
    seed(MANY, GONE);
    const swept = sweep({ concurrency: CONCURRENCY });
    await clock.advance(5000);
    expect(backend.asked.length).toBeGreaterThanOrEqual(MOST_WAITING);
    expect(backend.asked.length).toBeLessThanOrEqual(MOST_WAITING + CONCURRENCY);
    slow.answer(GONE);
    await swept;
    expect(actions()).toEqual({ held: MANY });
  });

  it("are let through when life is seen late, those that are overdue longest", async () => {
    const { db, actions, backend, sweep, outcomes } = guardStand();
    const add = (overdueMs: number) => db.add({ timeoutAtMs: db.nowMs() - overdueMs }).id;
    const ids = Array.from({ length: 10 * RUNS_PER_ROUND }, (_, index) => add(10_000 - index));
    for (const id of ids) backend.says(id, GONE);
    backend.says(db.add(NOT_STALE).id, GONE);
    backend.says(add(1), ALIVE);
    const guard = { ...GUARD, min: MANY, perHour: MANY };
    await sweep({ concurrency: 1, guard });
    expect(actions()).toEqual({ failed: MOST_KEPT, held: ids.length - MOST_KEPT, deferred: 1 });
    const failed = outcomes.filter(({ action }) => action === "failed");
    expect(new Set(failed.map(({ runId }) => runId))).toEqual(new Set(ids.slice(0, MOST_KEPT)));
  });
});
