import { describe, expect, it } from "vitest";
import { SweepMemory } from "../../../../src/watchdog/worker/status/sweep-memory.ts";
import { anOutcome, aReport, NO_COUNTS } from "../../../report/a-report.ts";

const AT = new Date("2026-01-01T00:00:00.000Z");
const heldReport = (count: number) =>
  aReport({
    counts: { ...NO_COUNTS, held: count },
    runs: [
      anOutcome("ended"),
      ...Array.from({ length: count }, (_, run) => anOutcome(`held-${run}`, { action: "held" })),
    ],
  });

describe("SweepMemory", () => {
  it("keeps the last 60 sweeps without their runs, oldest first", () => {
    const memory = new SweepMemory();
    for (let epoch = 1; epoch <= 60; epoch += 1) {
      memory.swept(aReport({ epoch, runs: [anOutcome("a")] }), null);
    }
    expect(memory.sweeps.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 60 }, (_, index) => index + 1),
    );
    memory.swept(aReport({ epoch: 61 }), null);
    expect(memory.sweeps).toHaveLength(60);
    expect([memory.sweeps.at(0)?.epoch, memory.sweeps.at(-1)?.epoch]).toEqual([2, 61]);
    expect(memory.sweeps.filter((sweep) => "runs" in sweep)).toEqual([]);
  });

  it("keeps the last 20 verdicts, newest first", () => {
    const memory = new SweepMemory();
    for (let run = 1; run <= 21; run += 1) memory.ended(anOutcome(`run-${run}`), AT);
    const ids = memory.verdicts.map(({ outcome }) => outcome.runId);
    expect(ids).toEqual(Array.from({ length: 20 }, (_, index) => `run-${21 - index}`));
    expect(memory.verdicts.at(0)?.decidedAt).toBe(AT);
  });

  it("takes only what was ended for a verdict", () => {
    const memory = new SweepMemory();
    const actions = ["completed", "failed", "deferred", "suspected", "held", "skipped", "error"];
    for (const action of actions) {
      memory.ended(anOutcome(action, { action: action as "held" }), AT);
    }
    expect(memory.verdicts.map(({ outcome }) => outcome.action)).toEqual(["failed", "completed"]);
  });

  it("remembers what the last sweep with held runs held and why, at most five of them", () => {
    const memory = new SweepMemory();
    expect(memory.hold).toBeNull();
    memory.swept(heldReport(6), "a mass");
    memory.swept(aReport(), null);
    expect(memory.hold).toEqual({
      at: "2026-01-01T00:00:00.412Z",
      reason: "a mass",
      runIds: ["held-0", "held-1", "held-2", "held-3", "held-4"],
    });
  });

  it("hands out lists that later sweeps do not change", () => {
    const memory = new SweepMemory();
    const { sweeps, verdicts } = memory;
    memory.swept(aReport(), null);
    memory.ended(anOutcome("a"), AT);
    expect([sweeps, verdicts]).toEqual([[], []]);
  });
});
