import { describe, expect, it } from "vitest";
import type { SweepCounts } from "../../src/rules/report.ts";
import { Timeline } from "./timeline.ts";

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
const BEFORE_A_MASS_STOP = { deferred: 1, undetermined: 1, lostRace: 1, busy: 1, errors: 1 };
const A = { letter: "A", pid: 1, healthUrl: "", logFile: "", holder: "" };

describe("Timeline", () => {
  it("has seen every action when only a mass stop is missing", () => {
    const { timeline } = timelineOf({ ...BEFORE_A_MASS_STOP, busy: 0 }, { busy: 1 });
    expect(timeline.mostHeld).toBeNull();
    expect(timeline.everyActionWasSeen).toBe(true);
  });

  for (const missing of ["deferred", "undetermined", "lostRace", "busy", "errors"] as const) {
    it(`has not seen every action when no run was counted under ${missing}`, () => {
      const { timeline } = timelineOf({ ...BEFORE_A_MASS_STOP, [missing]: 0 });
      expect(timeline.everyActionWasSeen).toBe(false);
    });
  }

  it("announces suspected and held runs, and remembers the most that one sweep held", () => {
    const { timeline, announced } = timelineOf(
      { stale: 9, suspected: 9 },
      { stale: 9, held: 9 },
      { stale: 4, held: 4 },
    );
    expect(timeline.mostHeld).toEqual({ count: 9, by: A });
    expect(timeline.counts).toMatchObject({ suspected: 9, held: 13 });
    expect(announced).toEqual([
      "A swept 9 runs in 1.2 s: 9 suspected",
      "A swept 9 runs in 1.2 s: 9 held",
      "A swept 4 runs in 1.2 s: 4 held",
    ]);
  });
});

/** After these sweeps, and a run that could not be handled. */
function timelineOf(...sweeps: readonly Partial<SweepCounts>[]) {
  const announced: string[] = [];
  const timeline = new Timeline({ announce: (text) => announced.push(text), onSweep: () => {} });
  timeline.onLog(A, { msg: "a run could not be handled", reason: "no effect" });
  announced.length = 0;
  for (const counts of sweeps) {
    timeline.onLog(A, {
      msg: "sweep finished",
      durationMs: 1200,
      counts: { ...NONE, ...counts },
    });
  }
  return { timeline, announced };
}
