import { describe, expect, it } from "vitest";
import { githubReport, githubSummary } from "../../src/report/github.ts";
import { humanReport } from "../../src/report/human.ts";
import type { SweepStatus } from "../../src/rules/report.ts";
import { anOutcome, aReport } from "./a-report.ts";

const levels: Readonly<Record<SweepStatus, string>> = {
  ok: "notice",
  partial: "warning",
  held: "warning",
  "lease-held": "warning",
  interrupted: "warning",
  error: "error",
  unavailable: "error",
};

describe("githubReport", () => {
  for (const [status, level] of Object.entries(levels)) {
    it(`announces ${status} as ${level}`, () => {
      const report = aReport({ status: status as SweepStatus });
      const [first] = githubReport(report).split("\n");
      const [headline] = humanReport(report).split("\n");
      expect(first).toBe(`::${level} title=run-watchdog::${headline}`);
    });
  }

  it("annotates runs that could not be handled and no others, then prints the report", () => {
    const report = aReport({
      status: "partial",
      runs: [
        anOutcome("run-1", { action: "error", basis: null, reason: "SQLSTATE 23514" }),
        anOutcome("run-2"),
        anOutcome("run-3", { action: "error", basis: null, reason: null }),
      ],
    });
    const lines = githubReport(report).split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "::error title=run-watchdog::run run-1: SQLSTATE 23514",
      "::error title=run-watchdog::run run-3: error",
      expect.stringMatching(/^::warning /),
    ]);
    expect(lines.slice(3).join("\n")).toBe(humanReport(report));
  });

  it("escapes what would end a command or begin another one", () => {
    const reason = "50% done\r\n::set-env name=X::y";
    const runs = [anOutcome("run-1", { action: "error", reason })];
    const commands = githubReport(aReport({ status: "partial", runs }))
      .split("\n")
      .filter((line) => line.trimStart().startsWith("::"));
    expect(commands).toHaveLength(2);
    expect(commands[0]).toBe(
      "::error title=run-watchdog::run run-1: 50%25 done%0D%0A::set-env name=X::y",
    );
  });

  it("annotates at most ten runs", () => {
    const runs = Array.from({ length: 11 }, (_, index) =>
      anOutcome(`run-${index}`, { action: "error" }),
    );
    expect(githubReport(aReport({ runs })).match(/^::error/gm)).toHaveLength(10);
  });
});

describe("githubSummary", () => {
  it("is the report for people in a block of its own", () => {
    const report = aReport({ runs: [anOutcome("run-1")] });
    expect(githubSummary(report)).toBe(
      `### run-watchdog\n\n\`\`\`text\n${humanReport(report)}\`\`\`\n`,
    );
  });
});
