import { describe, expect, it } from "vitest";
import type { Action } from "../../../src/rules/model.ts";
import { Tally } from "../../../src/watchdog/sweep/outcome-counter.ts";

const COUNTED_AS: Readonly<Record<Action, string>> = {
  completed: "completed",
  failed: "failed",
  deferred: "deferred",
  suspected: "suspected",
  undetermined: "undetermined",
  "lost-race": "lostRace",
  busy: "busy",
  held: "held",
  skipped: "skipped",
  error: "errors",
};

describe("Tally", () => {
  it("begins with nothing", () => {
    const tally = new Tally();
    expect(new Set(Object.values(tally.counts))).toEqual(new Set([0]));
    expect(tally.runs).toEqual([]);
    expect(tally.runsOmitted).toBe(0);
  });

  for (const [action, key] of Object.entries(COUNTED_AS)) {
    it(`counts "${action}" as ${key}, and as a stale run`, () => {
      const tally = new Tally();
      tally.add(outcome("a", action as Action));
      tally.add(outcome("b", action as Action));
      const { stale, ...others } = tally.counts;
      expect(stale).toBe(2);
      expect(Object.entries(others).filter(([, count]) => count !== 0)).toEqual([[key, 2]]);
    });
  }

  it("counts a run about which nobody was asked apart, and with all others", () => {
    const tally = new Tally();
    tally.add(outcome("a", "skipped"));
    tally.addUnasked(outcome("b", "skipped"));
    tally.addUnasked(outcome("c", "skipped"));
    expect(tally.counts).toMatchObject({ stale: 3, skipped: 3 });
    expect(tally.unasked).toBe(2);
    expect(tally.runs).toHaveLength(3);
  });

  it("keeps the runs in the order in which they ended", () => {
    const tally = new Tally();
    tally.add(outcome("b", "failed"));
    tally.add(outcome("a", "busy"));
    expect(tally.runs.map(({ runId }) => runId)).toEqual(["b", "a"]);
  });

  it("keeps 1000 runs", () => {
    const tally = tallyOf(1000);
    expect(tally.runs).toHaveLength(1000);
    expect(tally.runsOmitted).toBe(0);
  });

  it("counts the 1001st run and omits it", () => {
    const tally = tallyOf(1001);
    expect(tally.runs.at(-1)?.runId).toBe("run-999");
    expect(tally.runs).toHaveLength(1000);
    expect(tally.runsOmitted).toBe(1);
    expect(tally.counts.deferred).toBe(1001);
  });
});

function tallyOf(count: number): Tally {
  const tally = new Tally();
  for (let index = 0; index < count; index += 1) tally.add(outcome(`run-${index}`, "deferred"));
  return tally;
}

function outcome(runId: string, action: Action) {
  return { runId, action, basis: null, reason: null, verifyMs: null };
}
