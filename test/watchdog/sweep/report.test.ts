import { describe, expect, it } from "vitest";
import type { Action } from "../../../src/rules/model.ts";
import type { SweepReport } from "../../../src/rules/report.ts";
import { makeReport, OutcomeCounter } from "../../../src/watchdog/sweep/report.ts";

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

  it("counts 1000 different causes apart, and the others together", () => {
    const counter = new OutcomeCounter();
    const fail = (reason: string) => counter.add({ ...outcome("a", "error"), reason });
    for (let cause = 0; cause < 1000; cause += 1) fail(`cause ${cause}`);
    for (const cause of ["cause 1000", "cause 1001", "cause 1002", "cause 7", "cause 7"])
      fail(cause);
    expect(counter.waiting.failing).toBe(1005);
    expect(counter.waiting.failures.slice(0, 2)).toEqual([
      { cause: "cause 7", count: 3 },
      { cause: "other causes", count: 3 },
    ]);
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

describe("makeReport", () => {
  const GOOD: readonly (readonly [Action, ...Action[]])[] = [
    ["completed", "failed"],
    ["deferred"],
    ["suspected"],
    ["lost-race"],
    ["busy"],
    // It needed nothing.
    ["skipped", "completed"],
  ];

  it("is ok when no run was stale", () => {
    expect(finished([])).toMatchObject({ status: "ok", exitCode: 0, message: null });
  });

  for (const actions of GOOD) {
    it(`is ok when runs were ${actions.join(" and ")}`, () => {
      expect(finished(actions)).toMatchObject({ status: "ok", exitCode: 0, message: null });
    });
  }

  for (const action of ["error", "undetermined"] as const) {
    it(`is partial when one of many runs ended as ${action}`, () => {
      const actions: Action[] = ["completed", "failed", "deferred", "suspected", action];
      expect(finished(actions)).toMatchObject({
        status: "partial",
        exitCode: 3,
        message: expect.stringMatching(/^1 x /),
      });
    });
  }

  it("is partial when one of many runs was left because nobody could be asked about it", () => {
    const counter = new OutcomeCounter();
    counter.add(outcome("a", "completed"));
    counter.addUnserved(outcome("b", "skipped"));
    expect(reportOf(counter)).toMatchObject({ status: "partial", exitCode: 3 });
  });

  it("is held when the guard held one verdict, also beside runs that got no answer", () => {
    for (const actions of [["held"], ["undetermined", "held", "error"]] as const) {
      expect(finished(actions)).toMatchObject({
        status: "held",
        exitCode: 4,
        message: expect.stringMatching(/^1 held back by the guard/),
      });
    }
  });
});

function finished(actions: readonly Action[]): SweepReport {
  const counter = new OutcomeCounter();
  for (const [index, action] of actions.entries()) counter.add(outcome(`run-${index}`, action));
  return reportOf(counter);
}

/** What became of the runs was not read back: only this sweep tells. */
function reportOf(outcomes: OutcomeCounter): SweepReport {
  return makeReport({
    end: { kind: "finished" },
    dryRun: false,
    trigger: "once",
    holder: "host-1/4711/ab12",
    epoch: 1,
    startedAtMs: 0,
    durationMs: 0,
    outcomes,
  });
}

function counterOf(count: number): OutcomeCounter {
  const counter = new OutcomeCounter();
  for (let index = 0; index < count; index += 1) counter.add(outcome(`run-${index}`, "deferred"));
  return counter;
}

function outcome(runId: string, action: Action) {
  return { runId, action, basis: null, reason: null, verifyMs: null };
}
