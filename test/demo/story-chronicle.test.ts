import { describe, expect, it } from "vitest";
import type { SweepCounts } from "../../src/rules/report.ts";
import { Chronicle } from "./chronicle.ts";

const NONE: SweepCounts = {
  stale: 0,
  completed: 0,
  failed: 0,
  deferred: 0,
  suspected: 0,
  undetermined: 0,
  lostRace: 0,
  busy: 0,
  held: 0,
  skipped: 0,
  errors: 0,
};
const BEFORE_A_MASS = { deferred: 1, undetermined: 1, lostRace: 1, busy: 1, errors: 1 };
const A = { letter: "A", pid: 1, healthUrl: "", logFile: "", holder: "" };

describe("Chronicle", () => {
  it("has seen everything when only a mass is missing", () => {
    const { chronicle } = chronicleOf({ ...BEFORE_A_MASS, busy: 0 }, { busy: 1 });
    expect(chronicle.mostHeld).toBeNull();
    expect(chronicle.everythingWasSeen).toBe(true);
  });

  for (const missing of ["deferred", "undetermined", "lostRace", "busy", "errors"] as const) {
    it(`has not seen everything when no run was counted under ${missing}`, () => {
      const { chronicle } = chronicleOf({ ...BEFORE_A_MASS, [missing]: 0 });
      expect(chronicle.everythingWasSeen).toBe(false);
    });
  }

  it("tells suspected and held runs, and remembers the most that one sweep held", () => {
    const { chronicle, told } = chronicleOf(
      { stale: 9, suspected: 9 },
      { stale: 9, held: 9 },
      { stale: 4, held: 4 },
    );
    expect(chronicle.mostHeld).toEqual({ count: 9, by: A });
    expect(chronicle.counts).toMatchObject({ suspected: 9, held: 13 });
    expect(told).toEqual([
      "A swept 9 runs in 1.2 s: 9 suspected",
      "A swept 9 runs in 1.2 s: 9 held",
      "A swept 4 runs in 1.2 s: 4 held",
    ]);
  });
});

/** After these sweeps, and a run that could not be handled. */
function chronicleOf(...sweeps: readonly Partial<SweepCounts>[]) {
  const told: string[] = [];
  const chronicle = new Chronicle({ tell: (text) => told.push(text), onSweep: () => {} });
  chronicle.hear(A, { msg: "a run could not be handled", reason: "no effect" });
  told.length = 0;
  for (const counts of sweeps) {
    chronicle.hear(A, {
      msg: "sweep finished",
      durationMs: 1200,
      counts: { ...NONE, ...counts },
    });
  }
  return { chronicle, told };
}
