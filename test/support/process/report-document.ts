import { expect } from "vitest";
import type { ProblemReport } from "../../../src/report/problems.ts";
import type { SweepReport } from "../../../src/rules/report.ts";
import { documentProblems } from "../../report/schema/document-problems.ts";
import type { DocumentName } from "../../report/schema/documents.ts";

/** The document of `once --output json`; fails unless stdout holds exactly one, in the documented shape. */
export function parseDocument(stdout: string): SweepReport {
  expect(stdout.endsWith("}\n"), `stdout ends with the document: ${stdout.slice(-200)}`).toBe(true);
  expect(stdout.indexOf("\n"), "stdout is one line").toBe(stdout.length - 1);
  const report: SweepReport = JSON.parse(stdout);
  expect(documentProblems("once.json", report)).toEqual([]);
  expect(Object.keys(report)).toEqual(KEYS);
  expect(Object.keys(report.counts)).toEqual(COUNT_KEYS);
  expect(Object.keys(report.cleanups)).toEqual(["done", "pending", "abandoned"]);
  const waiting = report.waiting === null ? WAITING_KEYS : Object.keys(report.waiting);
  expect(waiting).toEqual(WAITING_KEYS);
  for (const run of report.runs) expect(Object.keys(run)).toEqual(RUN_KEYS);
  const { stale, ...outcomes } = report.counts;
  expect(
    Object.values(outcomes).reduce((sum, count) => sum + count, 0),
    "counts add up to stale",
  ).toBe(stale);
  expect(report.runs.length + report.runsOmitted).toBe(stale);
  return report;
}

/** Fails unless stdout holds exactly one document, of the command's schema. */
export function parseDocumentOf(name: DocumentName, stdout: string): unknown {
  expect(stdout.indexOf("\n"), "stdout is one line").toBe(stdout.length - 1);
  const document: unknown = JSON.parse(stdout);
  expect(documentProblems(name, document)).toEqual([]);
  return document;
}

/** The document of a command that was refused before its own; fails unless stdout holds exactly one. */
export function parseProblems(stdout: string): ProblemReport {
  expect(stdout.indexOf("\n"), "stdout is one line").toBe(stdout.length - 1);
  const report: ProblemReport = JSON.parse(stdout);
  expect(documentProblems("problems.json", report)).toEqual([]);
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
  "waiting",
  "message",
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
const WAITING_KEYS = ["alive", "suspected", "held", "unanswered", "failing", "nextLookAt"];
const RUN_KEYS = ["runId", "action", "basis", "reason", "verifyMs"];
