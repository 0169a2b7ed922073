import { describe, expect, it } from "vitest";
import { EnvReader } from "../../../src/config/env/env-reader.ts";
import { readGuard } from "../../../src/config/sweep.ts";
import { isMassFailure } from "../../../src/rules/guard.ts";
import { GROUPS, type KindName, MASS_STOP } from "./run-kinds.ts";
import { FEWEST_RUNS, MOST_RUNS, type PlannedRun, planMassStop, planRuns } from "./runs.ts";

describe("planRuns", () => {
  const kinds = new Set(planRuns(MOST_RUNS).map(({ kind }) => kind));

  for (const runs of [FEWEST_RUNS, FEWEST_RUNS + 1, 57, 200, MOST_RUNS]) {
    it(`plans ${runs} runs with at least one of every kind`, () => {
      const planned = planRuns(runs);
      expect(planned).toHaveLength(runs);
      expect(new Set(planned.map(({ kind }) => kind))).toEqual(kinds);
      const groups = [...planned, ...planMassStop()].map(({ automation }) => automation.name);
      expect(new Set(groups)).toEqual(new Set(GROUPS));
      expect(planned.map(({ automation }) => automation.name)).not.toContain(MASS_STOP.group);
      expect(planned.filter(({ kind }) => kind === "protected")).toHaveLength(1);
    });
  }

  it("puts runs that get an answer before those that do not, in the order of their deadlines", () => {
    const planned = planRuns(200);
    const due = planned.map(({ seed }) => seed.overdueMs ?? 0);
    const late = planned.flatMap(({ kind }, at) => (kind === "not due" ? [] : [due[at] ?? 0]));
    expect(late).toEqual(late.toSorted((a, b) => b - a));
    expect(Math.min(...late)).toBeGreaterThan(0);
    expect(planned.findIndex(({ unanswered }) => unanswered)).toBe(40);
    expect(planned.filter(({ unanswered }) => unanswered).length).toBeGreaterThan(16);
  });
});

describe("planRuns and planMassStop under the guard's defaults", () => {
  const guard = readGuard(new EnvReader({}, () => ""));
  const DEAD: ReadonlySet<KindName> = new Set(["missing or paused", "overdue", "late callback"]);
  const LIVING: ReadonlySet<KindName> = new Set(["running", "starting", "no command"]);
  const count = (planned: readonly PlannedRun[], kinds: ReadonlySet<KindName>) =>
    planned.filter(({ kind }) => kinds.has(kind)).length;
  const isMassOf = (presumed: number, living: number) => {
    const answered = presumed + living;
    return isMassFailure(
      { life: "seen", presumed, answered, appliedLastHour: 0, provenLastHour: 0 },
      guard,
    );
  };
  const plans = Array.from({ length: MOST_RUNS - FEWEST_RUNS + 1 }, (_, at) =>
    planRuns(FEWEST_RUNS + at),
  );

  it("keep the presumed dead few, and below the cap of an hour, for every number of runs", () => {
    for (const planned of plans) {
      const dead = count(planned, DEAD);
      expect(isMassOf(dead, count(planned, LIVING)), `${planned.length} runs`).toBe(false);
      expect(dead).toBeLessThan(guard.perHour);
    }
  });

  it("stop so many at once that they are a mass, for every number of runs", () => {
    for (const planned of plans) {
      // The protected run answers as well.
      const living = count(planned, LIVING) + 1;
      expect(isMassOf(planMassStop().length, living), `${planned.length} runs`).toBe(true);
    }
  });
});
