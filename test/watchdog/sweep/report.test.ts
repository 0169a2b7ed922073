import { describe, expect, it } from "vitest";
import type { Action } from "../../../src/rules/model.ts";
import { OutcomeCounter } from "../../../src/watchdog/sweep/report.ts";

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

describe("OutcomeCounter", () => {
  it("begins with nothing", () => {
    const counter = new OutcomeCounter();
    expect(new Set(Object.values(counter.counts))).toEqual(new Set([0]));
    expect(counter.runs).toEqual([]);
    expect(counter.runsOmitted).toBe(0);
  });

  for (const [action, key] of Object.entries(COUNTED_AS)) {
    it(`counts "${action}" as ${key}, and as a stale run`, () => {
      const counter = new OutcomeCounter();
      counter.add(outcome("a", action as Action));
      counter.add(outcome("b", action as Action));
      const { stale, ...others } = counter.counts;
      expect(stale).toBe(2);
      expect(Object.entries(others).filter(([, count]) => count !== 0)).toEqual([[key, 2]]);
    });
  }

  it("counts a run about which nobody was asked apart, and with all others", () => {
    const counter = new OutcomeCounter();
    counter.add(outcome("a", "skipped"));
    counter.addUnserved(outcome("b", "skipped"));
    counter.addUnserved(outcome("c", "skipped"));
    expect(counter.counts).toMatchObject({ stale: 3, skipped: 3 });
    expect(counter.unserved).toBe(2);
    expect(counter.runs).toHaveLength(3);
  });

  it("keeps the runs in the order in which they ended", () => {
    const counter = new OutcomeCounter();
    counter.add(outcome("b", "failed"));
    counter.add(outcome("a", "busy"));
    expect(counter.runs.map(({ runId }) => runId)).toEqual(["b", "a"]);
  });

  it("keeps 1000 runs", () => {
    const counter = counterOf(1000);
    expect(counter.runs).toHaveLength(1000);
    expect(counter.runsOmitted).toBe(0);
  });

  it("counts the 1001st run and omits it", () => {
    const counter = counterOf(1001);
    expect(counter.runs.at(-1)?.runId).toBe("run-999");
    expect(counter.runs).toHaveLength(1000);
    expect(counter.runsOmitted).toBe(1);
    expect(counter.counts.deferred).toBe(1001);
  });
});

function counterOf(count: number): OutcomeCounter {
  const counter = new OutcomeCounter();
  for (let index = 0; index < count; index += 1) counter.add(outcome(`run-${index}`, "deferred"));
  return counter;
}

function outcome(runId: string, action: Action) {
  return { runId, action, basis: null, reason: null, verifyMs: null };
}
