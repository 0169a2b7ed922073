import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { headline, humanReport } from "../../src/report/human.ts";
import { coloured } from "../../src/report/paint.ts";
import type { SweepReport } from "../../src/rules/report.ts";
import { anOutcome, aReport, NO_COUNTS, NONE_WAITING } from "./a-report.ts";

const IN_40_S = "2026-01-01T00:00:40.412Z";

const ID = "80d24995-5170-4e0a-8e71-847beba6bbf4";
const SOME_ACTIONS = ["completed", "failed", "undetermined", "held", "error"] as const;

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
    line: "dry run, nothing was written: judged 2 stale runs in 0.4 s",
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
    report: {
      status: "error",
      counts: { ...NO_COUNTS, stale: 3 },
      message: "a newer epoch was handed out",
    },
    line: "the sweep failed after 0.4 s, 3 stale runs handled: a newer epoch was handed out",
  },
  {
    report: { status: "held", counts: { ...NO_COUNTS, stale: 9, held: 8 }, dryRun: true },
    line: "dry run, nothing was written: judged 9 stale runs in 0.4 s, 8 would be held back by the guard",
  },
  {
    report: {
      status: "partial",
      counts: { ...NO_COUNTS, stale: 3, skipped: 2, failed: 1 },
      runs: [
        anOutcome("run-1", { action: "skipped", reason: "no such run" }),
        anOutcome("run-2", { action: "skipped", reason: "RUNNING, not past its deadline" }),
      ],
    },
    line: "swept 1 stale run in 0.4 s, 1 of the named runs does not exist",
  },
  {
    report: {
      status: "partial",
      counts: { ...NO_COUNTS, stale: 2, skipped: 2 },
      runs: ["run-1", "run-2"].map((id) =>
        anOutcome(id, { action: "skipped", reason: "no such run" }),
      ),
    },
    line: "no stale runs found in 0.4 s, 2 of the named runs do not exist",
  },
  { report: { status: "lease-held" }, line: "nothing was swept: another worker holds the lease" },
  {
    report: { status: "lease-held", message: "another worker holds the lease: a/1/b" },
    line: "nothing was swept: another worker holds the lease: a/1/b",
  },
  {
    report: { status: "unavailable", message: "Redis: connecting failed: ECONNREFUSED" },
    line: "nothing was swept: Redis: connecting failed: ECONNREFUSED",
  },
  {
    report: { waiting: { ...NONE_WAITING, alive: 2, suspected: 1, nextLookAt: IN_40_S } },
    line: "nothing is due now: 1 suspected, 2 alive, next look in 40 s",
  },
  {
    report: {
      status: "held",
      waiting: { ...NONE_WAITING, held: 7, unanswered: 73, nextLookAt: IN_40_S },
    },
    line: "nothing is due now: 7 held, 73 without an answer, next look in 40 s",
  },
  {
    report: {
      status: "partial",
      dryRun: true,
      waiting: { ...NONE_WAITING, failing: 1, nextLookAt: "2026-01-01T00:00:00.412Z" },
    },
    line: "dry run, nothing was written: nothing is due now: 1 not handled, the next look is due",
  },
  {
    report: {
      status: "partial",
      counts: { ...NO_COUNTS, stale: 2, failed: 2 },
      waiting: { ...NONE_WAITING, unanswered: 3 },
    },
    line: "swept 2 stale runs in 0.4 s, 3 wait since before",
  },
  {
    report: {
      status: "held",
      counts: { ...NO_COUNTS, stale: 2, failed: 2 },
      waiting: { ...NONE_WAITING, held: 3 },
    },
    line: "swept 2 stale runs in 0.4 s, 3 held back before",
  },
  {
    report: {
      status: "partial",
      counts: { ...NO_COUNTS, stale: 9, completed: 7, undetermined: 2 },
    },
    line: "swept 9 stale runs in 0.4 s, 2 without an answer",
  },
];

describe("humanReport", () => {
  for (const { report: changes, line } of headlines) {
    it(`says "${line}"`, () => {
      const report = aReport(changes);
      expect(headline(report)).toBe(line);
      expect(humanReport(report).replaceAll(/\s+/g, " ")).toContain(`${line} `);
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
        "  completed          1  exit code 0, set to COMPLETED",
        "  failed             1  set to FAILED",
        "  deferred           1  alive or starting, asked again later",
        "  sandboxes          2  deleted, 1 pending, 0 abandoned",
        "",
        "  1 set to FAILED: sandbox missing, presumed",
        "    run-2",
        "",
        "  1 set to COMPLETED: exit_code=0",
        "    run-1",
        "",
      ].join("\n"),
    );
  });

  it("puts runs with the same end and reason together, the largest group first, with what to do", () => {
    const reason = "service_api mint_api_key: HTTP 401";
    const unanswered = { action: "undetermined", basis: null } as const;
    const report = aReport({
      status: "partial",
      counts: { ...NO_COUNTS, stale: 4, undetermined: 4 },
      runs: [
        anOutcome(ID, { ...unanswered, reason: "sandbox_api get_sandbox: HTTP 500" }),
        ...[ID, ID, ID].map((id) => anOutcome(id, { ...unanswered, reason })),
      ],
    });
    expect(humanReport(report)).toBe(
      [
        "swept 4 stale runs in 0.4 s, no answer from the backend could be used",
        "  undetermined       4  inconclusive answer, asked again later",
        "",
        "  3 without a usable answer: service_api mint_api_key: HTTP 401",
        "    what to do: check AUTOMATION_SERVICE_KEY",
        `    ${ID} ${ID}`,
        `    ${ID}`,
        "",
        "  1 without a usable answer: sandbox_api get_sandbox: HTTP 500",
        "    what to do: look into its own log",
        `    ${ID}`,
        "",
      ].join("\n"),
    );
  });

  it("says of a dry run what would happen, and of nothing that it happened", () => {
    const actions = ["completed", "failed", "suspected", "held", "skipped"] as const;
    const report = aReport({
      dryRun: true,
      status: "held",
      counts: {
        ...NO_COUNTS,
        stale: 7,
        completed: 1,
        failed: 1,
        deferred: 1,
        suspected: 1,
        held: 1,
      },
      runs: actions.map((action) => anOutcome(`run-${action}`, { action, reason: null })),
    });
    expect(humanReport(report)).toBe(
      [
        "dry run, nothing was written: judged 7 stale runs in 0.4 s, 1 would be held back",
        "  by the guard",
        "  completed          1  exit code 0, would be set to COMPLETED",
        "  failed             1  would be set to FAILED",
        "  deferred           1  alive or starting, would be asked again later",
        "  suspected          1  looks dead, would have to be observed again",
        "  held               1  would be held back by the guard",
        "",
        "  1 would be held back by the guard",
        "    run-held",
        "",
        "  1 would be skipped",
        "    run-skipped",
        "",
        "  1 would be suspected",
        "    run-suspected",
        "",
        "  1 would be set to FAILED",
        "    run-failed",
        "",
        "  1 would be set to COMPLETED",
        "    run-completed",
        "",
        "  Held runs stay RUNNING. Check the backend first. If they really are dead,",
        "  override the guard:",
        '  run-watchdog once --override-guard "<why they are dead>"',
        "",
      ].join("\n"),
    );
  });

  it("stays within 80 columns whatever there is to say", () => {
    const reason = `the write had no effect (trigger or row security), ${"x".repeat(100)} and more`;
    const runs = SOME_ACTIONS.flatMap((action) =>
      Array.from({ length: 9 }, () => anOutcome(ID, { action, reason, basis: "presumption" })),
    );
    const many = 123_456;
    const counts = Object.fromEntries(Object.keys(NO_COUNTS).map((key) => [key, many]));
    for (const dryRun of [false, true]) {
      for (const status of ["held", "partial", "interrupted", "error", "unavailable"] as const) {
        const text = humanReport(
          aReport({
            ...{ dryRun, status, runs, runsOmitted: many, durationMs: 90_061_000 },
            counts: { ...NO_COUNTS, ...counts },
            cleanups: { done: many, pending: many, abandoned: many },
          }),
        );
        expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
      }
    }
  });

  it("colours what it is asked to colour, and says the same", () => {
    const runs = [anOutcome("run-1", { action: "error" }), anOutcome("run-2")];
    const report = aReport({
      status: "partial",
      counts: { ...NO_COUNTS, stale: 2, errors: 1 },
      runs,
    });
    const text = humanReport(report, coloured);
    expect(text).toContain("\u001b[33mswept ");
    expect(text).toContain("\u001b[31m1 could not be handled\u001b[39m: exit_code=1");
    expect(stripVTControlCharacters(text)).toBe(humanReport(report));
  });

  it("says what a person can do about held runs, and only then", () => {
    const remedy = '  run-watchdog once --override-guard "<why they are dead>"';
    const held = aReport({ status: "held", counts: { ...NO_COUNTS, stale: 1, held: 1 } });
    expect(humanReport(held).split("\n")).toContain(remedy);
    expect(humanReport(aReport())).not.toContain("--override-guard");
  });

  it("says what to do about what is held since earlier sweeps", () => {
    const report = aReport({
      status: "held",
      waiting: { ...NONE_WAITING, held: 7 },
      message: "7 held back by the guard, if they are dead: run-watchdog once --override-guard",
    });
    expect(humanReport(report)).toBe(
      [
        "nothing is due now: 7 held",
        "",
        "  7 held back by the guard, if they are dead: run-watchdog once --override-guard",
        "",
        "  Held runs stay RUNNING. Check the backend first. If they really are dead,",
        "  override the guard:",
        '  run-watchdog once --override-guard "<why they are dead>"',
        "",
      ].join("\n"),
    );
  });

  it("says for each group what is wrong and what to do, and only then", () => {
    const message = "7 held back by the guard; 2 x sandbox_api get_sandbox: HTTP 503, look into it";
    const lines = humanReport(aReport({ status: "partial", message })).split("\n");
    expect(lines).toContain("  7 held back by the guard");
    expect(lines).toContain("  2 x sandbox_api get_sandbox: HTTP 503, look into it");
  });

  it("says once what is wrong with the runs of this sweep, and apart what waits since earlier ones", () => {
    const runs = [
      anOutcome("run-1", {
        action: "undetermined",
        basis: null,
        reason: "sandbox_api get_sandbox: HTTP 500",
      }),
      anOutcome("run-2", { action: "skipped", basis: null, reason: "the breaker is open" }),
      anOutcome("run-3", { action: "held", basis: "presumption", reason: "sandbox missing" }),
    ];
    const message = [
      "1 held back by the guard, if they are dead: run-watchdog once --override-guard",
      "5 x sandbox_api get_sandbox: HTTP 500, look into its own log",
      "1 x not asked: the breaker is open",
    ].join("; ");
    const counts = { ...NO_COUNTS, stale: 3, undetermined: 1, skipped: 1, held: 1 };
    const text = humanReport(aReport({ status: "held", counts, runs, message }));
    expect(text).toContain(
      "\n\n  5 x sandbox_api get_sandbox: HTTP 500, look into its own log\n\n",
    );
    expect(text.match(/held back by the guard/g)).toHaveLength(3);
    expect(text.match(/the breaker is open/g)).toHaveLength(1);
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

  it("shows 6 runs of a group without a word about more", () => {
    const text = humanReport(aReport({ runs: manyRuns(6) }));
    expect(text.match(/run-\d+/g)).toHaveLength(6);
    expect(text).not.toContain("more");
    expect(text).not.toContain("--output json");
  });

  it("shows 6 of 7 runs of a group and how many are left out", () => {
    const text = humanReport(aReport({ runs: manyRuns(7) }));
    expect(text.match(/run-\d+/g)).toHaveLength(6);
    expect(text).toContain("    and 1 more\n");
    expect(text).toContain("  --output json lists up to 1,000 runs.\n");
  });

  it("shows 20 of 21 groups and how many are left out", () => {
    const runs = Array.from({ length: 21 }, (_, index) =>
      anOutcome(`run-${index}`, { reason: `exit_code=${index}` }),
    );
    expect(humanReport(aReport({ runs: runs.slice(1) }))).not.toContain("more");
    const text = humanReport(aReport({ runs }));
    expect(text.match(/run-\d+/g)).toHaveLength(20);
    expect(text).toContain("  and 1 more reason\n");
  });

  it("says that reasons are not those of all runs when not all are listed", () => {
    const text = humanReport(aReport({ runs: manyRuns(1), runsOmitted: 4 }));
    expect(text).toContain(
      "  Reasons are those of the first 1 run; --output json lists their ids.\n",
    );
  });

  it("keeps a reason with line breaks and escape codes on one line", () => {
    const runs = [anOutcome("run-1", { reason: "a\r\n::error::b\u001b[31m" })];
    expect(humanReport(aReport({ runs }))).toContain(
      "  1 set to FAILED: a ::error::b [31m\n    run-1\n",
    );
  });

  it("says no more than that of a run that was skipped without a reason", () => {
    const runs = [
      anOutcome("run-1", { action: "skipped", basis: null, reason: null, verifyMs: null }),
    ];
    expect(humanReport(aReport({ runs }))).toContain("\n  1 skipped\n    run-1\n");
  });
});

function manyRuns(count: number) {
  return Array.from({ length: count }, (_, index) => anOutcome(`run-${index}`));
}
