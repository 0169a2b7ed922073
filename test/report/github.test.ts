import { describe, expect, it } from "vitest";
import { githubOutputs, githubProblems, githubReport } from "../../src/report/github.ts";
import { headline, humanReport } from "../../src/report/human.ts";
import { problemReport } from "../../src/report/problems.ts";
import type { SweepStatus } from "../../src/rules/report.ts";
import { anOutcome, aReport, NO_COUNTS, NONE_WAITING } from "./a-report.ts";

const levels: Readonly<Record<SweepStatus, string>> = {
  ok: "notice",
  partial: "warning",
  held: "warning",
  "lease-held": "warning",
  paused: "warning",
  interrupted: "warning",
  error: "error",
  unavailable: "error",
};

describe("githubReport", () => {
  for (const [status, level] of Object.entries(levels)) {
    it(`announces ${status} as ${level}`, () => {
      const report = aReport({ status: status as SweepStatus });
      const [first] = githubReport(report).split("\n");
      expect(first).toBe(`::${level} title=run-watchdog::${headline(report)}`);
    });
  }

  it("annotates groups of runs with their cause and what to do, then prints the report", () => {
    const unanswered = { action: "undetermined", basis: null } as const;
    const report = aReport({
      status: "partial",
      counts: {
        ...NO_COUNTS,
        stale: 9,
        errors: 1,
        undetermined: 4,
        held: 1,
        failed: 1,
        suspected: 2,
      },
      runs: [
        anOutcome("run-1", { action: "error", basis: null, reason: "SQLSTATE 23514" }),
        anOutcome("run-2"),
        ...["run-3", "run-4", "run-5", "run-6"].map((runId) =>
          anOutcome(runId, { ...unanswered, reason: "service_api mint_api_key: HTTP 401" }),
        ),
        anOutcome("run-7", { action: "held", basis: "presumption", reason: "sandbox missing" }),
        anOutcome("run-8", { action: "suspected", basis: "presumption" }),
        anOutcome("run-9", { action: "skipped", basis: null, reason: null }),
      ],
    });
    const lines = githubReport(report).split("\n");
    expect(lines.slice(1, 6)).toEqual([
      "::error title=run-watchdog::1 run could not be handled: SQLSTATE 23514%0AWhat to do: check the constraints of automation_runs%0Arun-1",
      "::warning title=run-watchdog::1 run held back by the guard: sandbox missing%0Arun-7",
      "::warning title=run-watchdog::4 runs without a usable answer: service_api mint_api_key: HTTP 401%0AWhat to do: check AUTOMATION_SERVICE_KEY%0Arun-3, run-4, run-5 and 1 more",
      "::warning title=run-watchdog::1 run skipped%0Arun-9",
      "::notice title=run-watchdog::1 run set to FAILED: exit_code=1%0Arun-2",
    ]);
    expect(lines.slice(6).join("\n")).toBe(humanReport(report));
  });

  it("says beside the groups that they are of the first runs where some are left out", () => {
    const runs = [anOutcome("run-1"), anOutcome("run-2")];
    const counts = { ...NO_COUNTS, stale: 7, failed: 7 };
    const lines = githubReport(aReport({ counts, runs, runsOmitted: 5 })).split("\n");
    expect(lines.slice(1, 3)).toEqual([
      "::notice title=run-watchdog::Reasons are those of the first 2 runs; --output json lists their ids.",
      "::notice title=run-watchdog::2 runs set to FAILED: exit_code=1%0Arun-1, run-2",
    ]);
    expect(githubReport(aReport({ counts, runs }))).not.toContain("Reasons are");
  });

  it("annotates what keeps waiting since earlier sweeps, and nothing of it twice", () => {
    const reason = "service_api mint_api_key: HTTP 401";
    const report = aReport({
      status: "partial",
      message: `7 held back by the guard; 1 x ${reason}, check it; 73 x sandbox_api get_sandbox: HTTP 500`,
      waiting: { ...NONE_WAITING, held: 7, unanswered: 74 },
      counts: { ...NO_COUNTS, stale: 1, undetermined: 1 },
      runs: [anOutcome("run-1", { action: "undetermined", basis: null, reason })],
    });
    const commands = githubReport(report).split("\n").slice(1, 5);
    expect(commands).toEqual([
      expect.stringContaining(
        "::1 run without a usable answer: service_api mint_api_key: HTTP 401%0A",
      ),
      "::warning title=run-watchdog::7 held back by the guard",
      "::warning title=run-watchdog::73 x sandbox_api get_sandbox: HTTP 500",
      expect.stringMatching(/^swept 1 stale run /),
    ]);
  });

  it("speaks of what a dry run would do", () => {
    const report = aReport({ dryRun: true, runs: [anOutcome("run-1")] });
    expect(githubReport(report)).toContain("::1 run would be set to FAILED: exit_code=1%0Arun-1");
  });

  it("lets nothing end a command or begin another one, in annotations and below", () => {
    const reason = `50% done\r\n::set-env name=X::y ##[error]z ${"long ".repeat(10)} ::stop-commands::t`;
    const runs = [anOutcome("run-1", { action: "error", reason })];
    const text = githubReport(aReport({ status: "partial", runs }));
    const commands = text.split("\n").filter((line) => line.trimStart().startsWith("::"));
    expect(commands).toHaveLength(2);
    expect(commands[1]).toMatch(
      /^::error title=run-watchdog::1 run could not be handled: 50%25 done ::set-env name=X::y ##/,
    );
    const below = text.split("\n").slice(2).join("\n");
    expect(below).toContain("stop-commands");
    expect(below).not.toContain("##[");
  });

  it("annotates at most ten groups of each level, the sentence about the sweep among them", () => {
    const runs = (["error", "failed"] as const).flatMap((action) =>
      Array.from({ length: 11 }, (_, index) =>
        anOutcome(`${action}-${index}`, { action, reason: `reason ${index}` }),
      ),
    );
    const text = githubReport(aReport({ status: "ok", runs }));
    expect(text.match(/^::error/gm)).toHaveLength(10);
    expect(text.match(/^::notice/gm)).toHaveLength(10);
    expect(text).toMatch(/^::notice title=run-watchdog::no stale runs found/);
  });
});

describe("githubOutputs", () => {
  it("are the status, the exit code and every count, by names for later steps", () => {
    const counts = { ...NO_COUNTS, stale: 3, lostRace: 1, held: 2 };
    const waiting = { ...NONE_WAITING, held: 2, nextLookAt: "2026-01-01T00:00:40.412Z" };
    const message = "2 held back by the guard;\n1 x a";
    const report = aReport({ status: "held", exitCode: 4, counts, waiting, message });
    const lines = githubOutputs(report).split("\n");
    expect(lines).toEqual([
      "status=held",
      "exit-code=4",
      "message=2 held back by the guard; 1 x a",
      "stale=3",
      "completed=0",
      "failed=0",
      "deferred=0",
      "suspected=0",
      "undetermined=0",
      "lost-race=1",
      "busy=0",
      "held=2",
      "skipped=0",
      "errors=0",
      "waiting-alive=0",
      "waiting-suspected=0",
      "waiting-held=2",
      "waiting-unanswered=0",
      "waiting-failing=0",
      "waiting-next-look-at=2026-01-01T00:00:40.412Z",
      "",
    ]);
  });

  it("are the status and the exit code where there was no sweep", () => {
    expect(githubOutputs(problemReport(2, ["x"]))).toBe("status=unusable\nexit-code=2\n");
  });
});

describe("githubProblems", () => {
  it("annotates each problem, at most ten", () => {
    const problems = Array.from({ length: 11 }, (_, index) => `NAME_${index} must be 100%`);
    const text = githubProblems(problemReport(2, problems));
    expect(text.match(/^::error/gm)).toHaveLength(10);
    expect(text).toMatch(/^::error title=run-watchdog::NAME_0 must be 100%25\n/);
  });
});
