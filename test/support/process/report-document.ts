import { expect } from "vitest";
import type { SweepReport } from "../../../src/rules/report.ts";

/** The document of `once --output json`; fails unless stdout holds exactly one, in the documented shape. */
export function parseDocument(stdout: string): SweepReport {
  expect(stdout.endsWith("}\n"), `stdout ends with the document: ${stdout.slice(-200)}`).toBe(true);
  expect(stdout.indexOf("\n"), "stdout is one line").toBe(stdout.length - 1);
  const report: SweepReport = JSON.parse(stdout);
  expect(Object.keys(report)).toEqual(KEYS);
  expect(Object.keys(report.counts)).toEqual(COUNT_KEYS);
  expect(Object.keys(report.cleanups)).toEqual(["done", "pending", "abandoned"]);
  for (const run of report.runs) expect(Object.keys(run)).toEqual(RUN_KEYS);
  const { stale, ...outcomes } = report.counts;
  expect(
    Object.values(outcomes).reduce((sum, count) => sum + count, 0),
    "counts add up to stale",
  ).toBe(stale);
  expect(report.runs.length + report.runsOmitted).toBe(stale);
  return report;
}

const KEYS = [
  "version",
  "status",
  "exitCode",
  "dryRun",
  "trigger",
  "holder",
  "epoch",
  "startedAt",
  "finishedAt",
  "durationMs",
  "counts",
  "cleanups",
  "runs",
  "runsOmitted",
];
const COUNT_KEYS = [
  "stale",
  "completed",
  "failed",
  "deferred",
  "suspected",
  "undetermined",
  "lostRace",
  "busy",
  "held",
  "skipped",
  "errors",
];
const RUN_KEYS = ["runId", "action", "basis", "reason", "verifyMs"];
