import { describe, expect, it, vi } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { sweepStand } from "../../support/stands/sweep-world.ts";

const EXITED: Evidence = { kind: "exited", exitCode: 0, stdout: "", stderr: "" };
const REFUSED = { kind: "refused", cause: 'SQLSTATE 23514, constraint "short"' } as const;

describe("a run that cannot be handled", () => {
  it("is an error with its cause, which is remembered, and its row is not touched", async () => {
    const { db, outcomes, sweep, poisoned } = stand();
    const before = { ...poisoned };
    await sweep();
    expect(outcomes.find(({ runId }) => runId === poisoned.id)).toMatchObject({
      action: "error",
      reason: REFUSED.cause,
    });
    expect(poisoned).toEqual(before);
    expect(db.suspicions.get(poisoned.id)).toMatchObject({
      errorTimes: 1,
      errorCause: REFUSED.cause,
      errorRetryAtMs: db.nowMs() + 45_000,
    });
  });

  it("does not keep the others from their verdicts", async () => {
    const { outcomes, sweep } = stand();
    await sweep({ concurrency: 1 });
    expect(outcomes.map(({ action }) => action)).toEqual(["error", "completed", "completed"]);
  });

  it("is taken up again at a growing distance, and costs no question meanwhile", async () => {
    const { clock, backend, sweep, poisoned } = stand();
    const askedAt: number[] = [];
    for (let minute = 0; minute < 60; minute += 1) {
      const before = backend.asked.filter((id) => id === poisoned.id).length;
      await sweep();
      if (backend.asked.filter((id) => id === poisoned.id).length > before) askedAt.push(minute);
      await clock.advance(60_000);
    }
    expect(askedAt).toEqual([0, 1, 3, 6, 12, 24, 39, 54]);
  });

  it("is taken up at once when it is named", async () => {
    const { backend, sweep, poisoned } = stand();
    await sweep();
    await sweep({ runIds: [poisoned.id] });
    expect(backend.asked.filter((id) => id === poisoned.id)).toHaveLength(2);
  });

  it("is well again after one success", async () => {
    const { db, clock, store, sweep, poisoned } = stand();
    await sweep();
    vi.spyOn(store, "apply").mockRestore();
    await clock.advance(60_000);
    await sweep();
    expect(poisoned.status).toBe("COMPLETED");
    expect(db.suspicions.has(poisoned.id)).toBe(false);
  });

  it("may have a backend that breaks its promise", async () => {
    const { db, backend, sweep, poisoned, lines } = stand();
    vi.spyOn(backend, "verify").mockRejectedValue(new TypeError("tenant's text"));
    await sweep();
    const { errorCause } = db.suspicions.get(poisoned.id) ?? {};
    expect(errorCause).toBe("an unexpected TypeError");
    expect(lines).toHaveLength(3);
  });

  it("is told even when its trouble cannot be noted", async () => {
    const { store, outcomes, sweep } = stand();
    vi.spyOn(store, "noteError").mockRejectedValue(new TypeError("no note"));
    await sweep({ concurrency: 1 });
    expect(outcomes.map(({ action }) => action)).toEqual(["error", "completed", "completed"]);
  });

  it("ends the sweep when the note finds the database gone", async () => {
    const { store, sweep } = stand();
    const gone = new StoreUnavailableError("away");
    vi.spyOn(store, "noteError").mockRejectedValue(gone);
    await expect(sweep()).rejects.toBe(gone);
  });
});

/** The first of three finished runs cannot be written. */
function stand() {
  const world = sweepStand();
  const { db, store, backend } = world;
  const poisoned = db.add();
  const runs = [poisoned, db.add(), db.add()];
  for (const { id } of runs) backend.says(id, EXITED);
  const { apply } = store;
  vi.spyOn(store, "apply").mockImplementation(async (write, fence) =>
    write.run.id === poisoned.id ? REFUSED : await apply.call(store, write, fence),
  );
  return { ...world, poisoned };
}
