import type { Action } from "../rules/model.ts";
import { remedyFor } from "../rules/remedy.ts";
import type { SweepCounts, SweepReport, SweepStatus } from "../rules/report.ts";
import { groupRuns, type RunGroup, whatHappened } from "./groups.ts";
import { type Paint, plain, type Tone } from "./paint.ts";
import { nothingDue, unfinished, untold } from "./waiting-words.ts";
import { count, counted, duration, wrapped } from "./words.ts";

/** One group may be all that is wrong: a few of its runs are enough to look at. */
const MAX_RUNS_SHOWN = 6;
const MAX_GROUPS_SHOWN = 20;

/** For people, at most 80 columns: what happened in one line, then counts, then the runs by what became of them. */
export function humanReport(report: SweepReport, paint: Paint = plain): string {
  const { dryRun } = report;
  const tone = toneOf(report.status);
  const lines = wrapped(headline(report), 0, 2).map((line) => paint(tone, line));
  lines.push(...countLines(report, paint));
  const groups = groupRuns(report.runs);
  for (const group of groups.slice(0, MAX_GROUPS_SHOWN)) {
    lines.push("", ...groupLines(group, dryRun, paint));
  }
  const more = groups.length - MAX_GROUPS_SHOWN;
  if (more > 0) lines.push("", `  and ${counted(more, "more reason")}`);
  const others = untold(report, groups);
  if (others.length > 0) lines.push("", ...others.flatMap((other) => wrapped(other, 2, 4)));
  if (report.status === "held") lines.push("", ...HELD);
  const leftOut = somethingLeftOut(report, groups);
  if (leftOut !== null) lines.push("", ...wrapped(leftOut, 2).map((line) => paint("quiet", line)));
  return `${lines.join("\n")}\n`;
}

/** What is counted, explained for somebody who sees it for the first time; what a dry run says comes last. */
export const COUNTED: readonly (readonly [
  keyof SweepCounts,
  name: string,
  meaning: string,
  dryMeaning: string,
])[] = [
  [
    "completed",
    "completed",
    "exit code 0, set to COMPLETED",
    "exit code 0, would be set to COMPLETED",
  ],
  ["failed", "failed", "set to FAILED", "would be set to FAILED"],
  [
    "deferred",
    "deferred",
    "alive or starting, asked again later",
    "alive or starting, would be asked again later",
  ],
  [
    "suspected",
    "suspected",
    "looks dead, must be observed again",
    "looks dead, would have to be observed again",
  ],
  [
    "undetermined",
    "undetermined",
    "inconclusive answer, asked again later",
    "inconclusive answer, would be asked again later",
  ],
  [
    "lostRace",
    "lost race",
    "changed in the meantime, left alone",
    "changed in the meantime, would be left alone",
  ],
  [
    "busy",
    "busy",
    "being written by another client, left alone",
    "being written by another client, would be left alone",
  ],
  ["held", "held", "held back by the guard", "would be held back by the guard"],
  ["skipped", "skipped", "the backend was not asked", "the backend was not asked"],
  ["errors", "errors", "could not be handled", "could not be handled"],
];

const HELD = [
  "  Held runs stay RUNNING. Check the backend first. If they really are dead,",
  "  override the guard:",
  '  run-watchdog once --override-guard "<why they are dead>"',
];

/** The report in one sentence. */
export function headline(report: SweepReport): string {
  const { counts, durationMs } = report;
  const took = duration(durationMs);
  // Runs that were only named are in no need of anything.
  const stale = counts.stale - counts.skipped;
  const swept = `${report.dryRun ? "judged" : "swept"} ${runs(stale)} in ${took}`;
  const dry = report.dryRun ? "dry run, nothing was written: " : "";
  switch (report.status) {
    case "lease-held":
      return `nothing was swept: ${report.message ?? "another worker holds the lease"}`;
    case "paused":
      return `${stale === 0 ? "nothing was swept" : `stopped after ${took}, ${runs(stale)} handled`}: ${report.message}`;
    case "unavailable":
      return `nothing was swept: ${report.message ?? "Postgres or the lease store did not serve"}`;
    case "interrupted":
      return `${dry}stopped by a signal after ${took}, ${runs(counts.stale)} handled, the next sweep does the rest`;
    case "error":
      return `${dry}the sweep failed after ${took}, ${runs(counts.stale)} handled: ${report.message ?? "unexpectedly"}`;
    case "ok":
    case "partial":
    case "held": {
      const found = stale > 0 ? swept : (nothingDue(report) ?? `no stale runs found in ${took}`);
      return `${dry}${found}${unfinished(report)}`;
    }
  }
}

function countLines({ counts, cleanups, dryRun }: SweepReport, paint: Paint): readonly string[] {
  const lines = COUNTED.filter(([key]) => counts[key] > 0).map(
    ([key, name, did, would]) =>
      `  ${name.padEnd(13)} ${count(counts[key]).padStart(6)}  ${paint("quiet", dryRun ? would : did)}`,
  );
  const { done, pending, abandoned } = cleanups;
  if (done + pending + abandoned > 0) {
    const cleaned = `deleted, ${count(pending)} pending, ${count(abandoned)} abandoned`;
    lines.push(
      `  ${"sandboxes".padEnd(13)} ${count(done).padStart(6)}  ${paint("quiet", cleaned)}`,
    );
  }
  return lines;
}

function groupLines(group: RunGroup, dryRun: boolean, paint: Paint): readonly string[] {
  const what = `${count(group.runIds.length)} ${whatHappened(group.action, dryRun)}`;
  const [first = "", ...rest] = wrapped(group.why === "" ? what : `${what}: ${group.why}`, 2, 4);
  const shown = group.runIds.slice(0, MAX_RUNS_SHOWN);
  const more = group.runIds.length - shown.length;
  return [
    first.replace(what, () => paint(TONES[group.action], what)),
    ...rest,
    ...remedyLines(group),
    // As many as fit, and each of them whole: ids are there to be copied.
    ...wrapped(shown.join("  "), 4),
    ...(more > 0 ? [paint("quiet", `    and ${count(more)} more`)] : []),
  ];
}

function remedyLines({ cause }: RunGroup): readonly string[] {
  const remedy = cause === null ? null : remedyFor(cause);
  return remedy === null ? [] : wrapped(`what to do: ${remedy}`, 4, 6);
}

const TONES: Readonly<Record<Action, Tone>> = {
  error: "bad",
  held: "look",
  undetermined: "look",
  skipped: "look",
  suspected: "look",
  failed: "good",
  completed: "good",
  deferred: "quiet",
  "lost-race": "quiet",
  busy: "quiet",
};

/** `null` when the report has all runs of the sweep. */
export function runsLeftOut({ runs, runsOmitted }: SweepReport): string | null {
  if (runsOmitted === 0) return null;
  const listed = counted(runs.length, "run");
  return `Reasons are those of the first ${listed}; --output json lists their ids.`;
}

function somethingLeftOut(report: SweepReport, groups: readonly RunGroup[]): string | null {
  const leftOut = runsLeftOut(report);
  if (leftOut !== null) return leftOut;
  const isWhole =
    groups.length <= MAX_GROUPS_SHOWN &&
    groups.every(({ runIds }) => runIds.length <= MAX_RUNS_SHOWN);
  return isWhole ? null : "--output json lists up to 1,000 runs.";
}

function toneOf(status: SweepStatus): Tone {
  switch (status) {
    case "ok":
      return "good";
    case "error":
    case "unavailable":
      return "bad";
    case "partial":
    case "held":
    case "lease-held":
    case "paused":
    case "interrupted":
      return "look";
  }
}

function runs(number: number): string {
  return counted(number, "stale run");
}
