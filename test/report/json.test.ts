import { describe, expect, it } from "vitest";
import { jsonReport } from "../../src/report/json.ts";
import { anOutcome, aReport } from "./a-report.ts";

describe("jsonReport", () => {
  it("is one line that parses to the whole report", () => {
    const report = aReport({ runs: [anOutcome("run-1", { reason: "a\nb\u2028c" })] });
    const text = jsonReport(report);
    expect(text.endsWith("}\n")).toBe(true);
    expect(text.trimEnd()).not.toContain("\n");
    expect(JSON.parse(text)).toEqual(report);
  });
});
