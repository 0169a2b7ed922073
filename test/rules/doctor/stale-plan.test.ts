import { describe, expect, it } from "vitest";
import { checkStalePlan, type StalePlan } from "../../../src/rules/doctor/stale-plan.ts";

const scan = (type: string, relation: string, index?: string) => ({
  "Node Type": type,
  "Relation Name": relation,
  ...(index && { "Index Name": index }),
});
const plan = (...nodes: readonly object[]) => [{ Plan: { "Node Type": "Append", Plans: nodes } }];

const BY_INDEX = plan(
  scan("Index Scan", "automation_runs", "runs_due"),
  scan("Index Scan", "suspicions", "suspicions_look_at"),
);
const WHOLE = plan(scan("Seq Scan", "automation_runs"));

const check = (facts: StalePlan) => checkStalePlan(facts, "remedy");

describe("checkStalePlan", () => {
  it("names the index that is used", () => {
    const found = check({ plan: BY_INDEX, estimatedRuns: 1_000_000 });
    expect(found).toMatchObject({ result: "ok", found: "read by index (runs_due)" });
  });

  it("does not mind that few runs are read whole", () => {
    expect(check({ plan: WHOLE, estimatedRuns: 9_999 }).result).toBe("ok");
    expect(check({ plan: WHOLE, estimatedRuns: -1 }).result).toBe("ok");
  });

  it("warns when many are read although there is an index", () => {
    const found = check({ plan: WHOLE, estimatedRuns: 10_000 });
    expect(found).toMatchObject({ result: "warning", remedies: ["remedy"] });
  });

  it("warns of a whole read behind a view, whose size is not known", () => {
    expect(check({ plan: WHOLE, estimatedRuns: null }).result).toBe("warning");
    expect(check({ plan: BY_INDEX, estimatedRuns: null }).result).toBe("ok");
  });

  it("does not mind that our own memory is read whole", () => {
    const own = plan(scan("Seq Scan", "suspicions"), scan("Index Scan", "automation_runs", "i"));
    expect(check({ plan: own, estimatedRuns: 1_000_000 }).result).toBe("ok");
  });

  it.each([null, [], "text", [{}]])("warns of an answer that is no plan: %j", (answer) => {
    expect(check({ plan: answer, estimatedRuns: 0 }).result).toBe("warning");
  });
});
