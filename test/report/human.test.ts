import { describe, expect, it } from "vitest";
import { humanReport } from "../../src/report/human.ts";
import type { SweepReport } from "../../src/rules/report.ts";
import { anOutcome, aReport, NO_COUNTS } from "./a-report.ts";

const headlines: readonly { readonly report: Partial<SweepReport>; readonly line: string }[] = [
  { report: {}, line: "no stale runs found in 0.4 s" },
  { report: { counts: { ...NO_COUNTS, stale: 1 } }, line: "swept 1 stale run in 0.4 s" },
  {
    report: { counts: { ...NO_COUNTS, stale: 6, skipped: 2 } },
    line: "swept 4 stale runs in 0.4 s",
  },
  {
    report: { counts: { ...NO_COUNTS, stale: 1, skipped: 1 }, dryRun: true },
    line: "dry run, nothing was written: no stale runs found in 0.4 s",
  },
  {
    report: { counts: { ...NO_COUNTS, stale: 2 }, dryRun: true },
    line: "dry run, nothing was written: swept 2 stale runs in 0.4 s",
  },
  {
    report: { status: "partial", counts: { ...NO_COUNTS, stale: 9, errors: 2 } },
    line: "swept 9 stale runs in 0.4 s, 2 could not be handled",
  },
  {
    report: { status: "partial", counts: { ...NO_COUNTS, stale: 9, undetermined: 9 } },
    line: "swept 9 stale runs in 0.4 s, no answer from the backend could be used",
  },
  {
    report: { status: "partial", counts: { ...NO_COUNTS, stale: 9, undetermined: 2, skipped: 7 } },
    line: "swept 2 stale runs in 0.4 s, 7 skipped",
  },
  {
    report: { status: "held", counts: { ...NO_COUNTS, stale: 9, held: 8 } },
    line: "swept 9 stale runs in 0.4 s, 8 held back by the guard",
  },
  {
    report: { status: "interrupted", counts: { ...NO_COUNTS, stale: 3 } },
    line: "stopped by a signal after 0.4 s, 3 stale runs handled, the next sweep does the rest",
  },
  {
    report: { status: "error", counts: { ...NO_COUNTS, stale: 3 } },
    line: "the sweep failed after 0.4 s, 3 stale runs handled (the log says why)",
  },
  { report: { status: "lease-held" }, line: "nothing was swept: another worker holds the lease" },
  {
    report: { status: "unavailable" },
    line: "nothing was swept: Postgres or the lease store cannot be reached (the log says more)",
  },
];

describe("humanReport", () => {
  for (const { report, line } of headlines) {
    it(`says "${line}"`, () => {
      expect(humanReport(aReport(report)).split("\n")[0]).toBe(line);
    });
  }

  it("is one line when there is nothing more to say", () => {
    expect(humanReport(aReport())).toBe("no stale runs found in 0.4 s\n");
  });

  it("shows counts with their meaning, sandboxes, and the runs that were ended", () => {
    const report = aReport({
      counts: { ...NO_COUNTS, stale: 3, completed: 1, failed: 1, deferred: 1 },
      cleanups: { done: 2, pending: 1, abandoned: 0 },
      runs: [
        anOutcome("run-1", { action: "completed", reason: "exit_code=0" }),
        anOutcome("run-2", { basis: "presumption", reason: "sandbox missing", verifyMs: 1204 }),
        anOutcome("run-3", { action: "deferred", basis: null, reason: "running" }),
      ],
    });
    expect(humanReport(report)).toBe(
      [
        "swept 3 stale runs in 0.4 s",
        "  completed     1      exit code 0, set to COMPLETED",
        "  failed        1      set to FAILED",
        "  deferred      1      alive or starting, asked again later",
        "  sandboxes     2 deleted, 1 pending, 0 abandoned",
        "",
        "  run-2  failed        1204 ms  sandbox missing, presumed",
        "  run-1  completed       38 ms  exit_code=0",
        "",
      ].join("\n"),
    );
  });

  it("says what a person can do about held runs, and only then", () => {
    const remedy = '  run-watchdog once --override-guard "<why they are dead>"';
    const held = aReport({ status: "held", counts: { ...NO_COUNTS, stale: 1, held: 1 } });
    expect(humanReport(held).split("\n")).toContain(remedy);
    expect(humanReport(aReport())).not.toContain("--override-guard");
  });

  it("leaves out runs that go on or that others changed", () => {
    const runs = (["deferred", "lost-race", "busy"] as const).map((action) =>
      anOutcome(`run-${action}`, { action }),
    );
    expect(humanReport(aReport({ runs }))).not.toContain("run-");
  });

  it("shows first what somebody has to look at, however late it ended", () => {
    const actions = ["completed", "failed", "skipped", "undetermined", "held", "error"] as const;
    const runs = actions.map((action) => anOutcome(`run-${action}`, { action }));
    expect(humanReport(aReport({ runs })).match(/run-\w+/g)).toEqual([
      "run-error",
      "run-held",
      "run-undetermined",
      "run-skipped",
      "run-failed",
      "run-completed",
    ]);
  });

  it("shows 40 runs without a word about more", () => {
    const text = humanReport(aReport({ runs: manyRuns(40) }));
    expect(text.match(/run-\d+/g)).toHaveLength(40);
    expect(text).not.toContain("more");
  });

  it("shows 40 of 41 runs and how many are left out", () => {
    const text = humanReport(aReport({ runs: manyRuns(41) }));
    expect(text.match(/run-\d+/g)).toHaveLength(40);
    expect(text).toContain("  ... and 1 more (--output json shows up to 1,000)\n");
  });

  it("keeps a reason with line breaks and escape codes on one line", () => {
    const runs = [anOutcome("run-1", { reason: "a\r\n::error::b\u001b[31m" })];
    expect(humanReport(aReport({ runs }))).toContain(
      "run-1  failed          38 ms  a ::error::b [31m",
    );
  });

  it("leaves the time empty for a run that nobody was asked about", () => {
    const runs = [
      anOutcome("run-1", { action: "skipped", basis: null, reason: null, verifyMs: null }),
    ];
    expect(humanReport(aReport({ runs }))).toContain("  run-1  skipped\n");
  });
});

function manyRuns(count: number) {
  return Array.from({ length: count }, (_, index) => anOutcome(`run-${index}`));
}
