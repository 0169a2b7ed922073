import { describe, expect, it } from "vitest";
import { markdownProblems, markdownSummary } from "../../src/report/markdown.ts";
import { problemReport } from "../../src/report/problems.ts";
import { anOutcome, aReport, NO_COUNTS, NONE_WAITING } from "./a-report.ts";

describe("markdownSummary", () => {
  it("is one sentence when there is nothing more to say", () => {
    expect(markdownSummary(aReport())).toBe("### run-watchdog: no stale runs found in 0.4 s\n\n");
  });

  it("tells in tables how many runs came to what, why, and what to do", () => {
    const reason = "service_api mint_api_key: HTTP 401";
    const report = aReport({
      status: "held",
      counts: { ...NO_COUNTS, stale: 1204, deferred: 1200, undetermined: 2, held: 1, failed: 1 },
      cleanups: { done: 1, pending: 2, abandoned: 0 },
      runs: [
        anOutcome("run-1", { action: "undetermined", basis: null, reason }),
        anOutcome("run-2", { action: "undetermined", basis: null, reason }),
        anOutcome("run-3", { action: "held", basis: "presumption", reason: "sandbox missing" }),
        anOutcome("run-4"),
      ],
    });
    expect(markdownSummary(report)).toBe(
      [
        "### run-watchdog: swept 1,204 stale runs in 0.4 s, 1 held back by the guard",
        "",
        "| outcome | runs | meaning |",
        "| --- | ---: | --- |",
        "| failed | 1 | set to FAILED |",
        "| deferred | 1,200 | alive or starting, asked again later |",
        "| undetermined | 2 | inconclusive answer, asked again later |",
        "| held | 1 | held back by the guard |",
        "",
        "Sandboxes: 1 deleted, 2 pending, 0 abandoned.",
        "",
        "| what happened | runs | why | what to do | which |",
        "| --- | ---: | --- | --- | --- |",
        "| held back by the guard | 1 | `sandbox missing` |  | `run-3` |",
        "| without a usable answer | 2 | `service_api mint_api_key: HTTP 401` | check AUTOMATION\\_SERVICE\\_KEY | `run-1`<br>`run-2` |",
        "| set to FAILED | 1 | `exit_code=1` |  | `run-4` |",
        "",
        'Held runs stay RUNNING. Check the backend first. If they really are dead: `run-watchdog once --override-guard "<why they are dead>"`',
        "",
        "",
      ].join("\n"),
    );
  });

  it("tells what waits since earlier sweeps, and why", () => {
    const report = aReport({
      status: "partial",
      waiting: { ...NONE_WAITING, unanswered: 1073, alive: 2 },
      message: "1073 x service_api mint_api_key: HTTP 401, check AUTOMATION_SERVICE_KEY",
    });
    expect(markdownSummary(report)).toBe(
      [
        "### run-watchdog: nothing is due now: 1,073 without an answer, 2 alive",
        "",
        "| waiting | runs |",
        "| --- | ---: |",
        "| alive | 2 |",
        "| unanswered | 1,073 |",
        "",
        "- 1073 x service\\_api mint\\_api\\_key: HTTP 401, check AUTOMATION\\_SERVICE\\_KEY",
        "",
        "",
      ].join("\n"),
    );
  });

  it("speaks of what a dry run would do", () => {
    const counts = { ...NO_COUNTS, stale: 1, failed: 1 };
    const text = markdownSummary(aReport({ dryRun: true, counts, runs: [anOutcome("run-1")] }));
    expect(text).toContain("| failed | 1 | would be set to FAILED |");
    expect(text).toContain("| would be set to FAILED | 1 | `exit_code=1` |");
  });

  it("lets no reason end its cell, its row or its code", () => {
    const runs = [anOutcome("run-1", { reason: "a|b`c\nd" })];
    expect(markdownSummary(aReport({ runs }))).toContain("| `a\\|b'c d` |  | `run-1` |");
  });

  it("names ten runs of a group and counts the rest", () => {
    const runs = Array.from({ length: 11 }, (_, index) => anOutcome(`run-${index}`));
    const text = markdownSummary(aReport({ runs }));
    expect(text.match(/run-\d+/g)).toHaveLength(10);
    expect(text).toContain("`run-9`<br>and 1 more |");
  });

  it("shows 50 reasons and counts the rest", () => {
    const runs = Array.from({ length: 51 }, (_, index) =>
      anOutcome(`run-${index}`, { reason: `exit_code=${index}` }),
    );
    const text = markdownSummary(aReport({ runs }));
    expect(text.match(/exit_code=/g)).toHaveLength(50);
    expect(text).toContain("And 1 more reason.");
  });
});

describe("markdownProblems", () => {
  it("lists every problem", () => {
    expect(markdownProblems(problemReport(2, ["A_NAME must be set", "B must be 1"]))).toBe(
      "### run-watchdog: could not do its work (exit code 2)\n\n- `A_NAME must be set`\n- `B must be 1`\n\n",
    );
  });
});
