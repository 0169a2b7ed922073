import type { Action } from "../rules/model.ts";
import type { RunOutcome, SweepCounts, SweepReport } from "../rules/report.ts";

const MAX_RUNS_SHOWN = 40;

/** For people: what happened in one line, then counts, then the runs that were ended or need a look. */
export function humanReport(report: SweepReport): string {
  const lines = [headline(report)];
  lines.push(...countLines(report.counts));
  const { done, pending, abandoned } = report.cleanups;
  if (done + pending + abandoned > 0) {
    lines.push(`  sandboxes     ${done} deleted, ${pending} pending, ${abandoned} abandoned`);
  }
  if (report.counts.held > 0) lines.push("", ...HELD);
  const shown = worthShowing(report.runs);
  if (shown.length > 0) lines.push("", ...shown.slice(0, MAX_RUNS_SHOWN).map(runLine));
  const more = shown.length - MAX_RUNS_SHOWN;
  if (more > 0) lines.push(`  ... and ${more} more (--output json shows up to 1,000)`);
  return `${lines.join("\n")}\n`;
}

/** What is counted, explained for somebody who sees it for the first time. */
const COUNTED: readonly (readonly [keyof SweepCounts, string, string])[] = [
  ["completed", "completed", "exit code 0, set to COMPLETED"],
  ["failed", "failed", "set to FAILED"],
  ["deferred", "deferred", "alive or starting, asked again later"],
  ["suspected", "suspected", "looks dead, must be observed again"],
  ["undetermined", "undetermined", "inconclusive answer, asked again later"],
  ["lostRace", "lost race", "changed in the meantime, left alone"],
  ["busy", "busy", "being written by another client, left alone"],
  ["held", "held", "held back by the guard"],
  ["skipped", "skipped", "the backend was not asked"],
  ["errors", "errors", "could not be handled"],
];

const HELD = [
  "  Held runs stay RUNNING. Check the backend first. If they really are dead, override the guard:",
  '  run-watchdog once --override-guard "<why they are dead>"',
];

function headline(report: SweepReport): string {
  const { counts, durationMs } = report;
  const took = `${(durationMs / 1000).toFixed(1)} s`;
  // Runs that were only named are in no need of anything.
  const stale = counts.stale - counts.skipped;
  const swept = `swept ${runs(stale)} in ${took}`;
  const dry = report.dryRun ? "dry run, nothing was written: " : "";
  switch (report.status) {
    case "lease-held":
      return "nothing was swept: another worker holds the lease";
    case "unavailable":
      return "nothing was swept: Postgres or the lease store cannot be reached (the log says more)";
    case "interrupted":
      return `${dry}stopped by a signal after ${took}, ${runs(counts.stale)} handled, the next sweep does the rest`;
    case "error":
      return `${dry}the sweep failed after ${took}, ${runs(counts.stale)} handled (the log says why)`;
    case "ok":
      return `${dry}${stale === 0 ? `no stale runs found in ${took}` : swept}`;
    case "partial":
      return `${dry}${swept}, ${whatIsMissing(counts)}`;
    case "held":
      return `${dry}${swept}, ${counts.held} held back by the guard`;
  }
}

function whatIsMissing({ errors, skipped }: SweepCounts): string {
  if (errors > 0) return `${errors} could not be handled`;
  return skipped > 0 ? `${skipped} skipped` : "no answer from the backend could be used";
}

function countLines(counts: SweepCounts): readonly string[] {
  return COUNTED.filter(([key]) => counts[key] > 0).map(
    ([key, name, meaning]) => `  ${name.padEnd(13)} ${String(counts[key]).padEnd(6)} ${meaning}`,
  );
}

/** What somebody has to look at comes first, whatever the order in which runs ended. */
const SHOWN: readonly Action[] = [
  "error",
  "held",
  "undetermined",
  "skipped",
  "suspected",
  "failed",
  "completed",
];

function worthShowing(outcomes: readonly RunOutcome[]): readonly RunOutcome[] {
  return outcomes
    .filter(({ action }) => SHOWN.includes(action))
    .toSorted((a, b) => SHOWN.indexOf(a.action) - SHOWN.indexOf(b.action));
}

function runLine({ runId, action, basis, reason, verifyMs }: RunOutcome): string {
  const why = [reason, basis === "presumption" ? "presumed" : null].filter((part) => part !== null);
  const took = verifyMs === null ? "" : `${verifyMs} ms`;
  // One line each: a reader such as GitHub takes commands from the start of a line.
  const text = why.join(", ").replace(/\p{Cc}+/gu, " ");
  return `  ${runId}  ${action.padEnd(12)} ${took.padStart(8)}  ${text}`.trimEnd();
}

function runs(count: number): string {
  return count === 1 ? "1 stale run" : `${count} stale runs`;
}
