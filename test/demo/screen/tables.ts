/** The demo's tables and lists, as lines of at most 80 columns. */
import type { SweepCounts } from "../../../src/rules/report.ts";
import type { Check } from "../checks/checks.ts";
import type { GroupCount, VerdictCounts } from "../scenario/database.ts";
import { TIMING } from "../scenario/environment.ts";
import type { HostWrite } from "../scenario/host-script.ts";
import { GROUPS } from "../scenario/run-kinds.ts";

const STATUSES = ["COMPLETED", "FAILED", "CANCELLED", "RUNNING"] as const;

export const RUN_TABLE_LINES = GROUPS.length + 2;

export function runTable(counts: readonly GroupCount[]): readonly string[] {
  const of = (group: string | null, status: string | null) =>
    counts
      .filter((row) => group === null || row.group === group)
      .filter((row) => status === null || row.status === status)
      .reduce((sum, { count }) => sum + count, 0);
  const line = (label: string, group: string | null) =>
    row(
      label,
      String(of(group, null)),
      STATUSES.map((status) => dashed(of(group, status))),
    );
  return [
    row("", "runs", STATUSES),
    ...GROUPS.map((group) => line(group, group)),
    line("all", null),
  ];
}

function row(label: string, total: string, cells: readonly string[]): string {
  const columns = cells.map((cell, at) => cell.padStart((STATUSES[at] ?? "").length + 2));
  return `  ${label.padEnd(32)}${total.padStart(5)}${columns.join("")}`;
}

function dashed(count: number): string {
  return count === 0 ? "-" : String(count);
}

export const COUNTED = [
  "deferred",
  "suspected",
  "held",
  "undetermined",
  "lostRace",
  "busy",
  "errors",
] as const;

export type Counted = Pick<SweepCounts, (typeof COUNTED)[number]>;

export interface Actions {
  readonly verdicts: VerdictCounts;
  /** Added up over the reports of the sweeps. */
  readonly counts: Counted;
  readonly skipped: number;
  /** Why a run could not be handled. */
  readonly errorCause: string;
}

export function actionLines(actions: Actions): readonly string[] {
  const { counts, skipped, errorCause } = actions;
  const { completed, failedProven, failedPresumed, failedOverridden } = actions.verdicts;
  const failed = failedProven + failedPresumed + failedOverridden;
  const why = `${failedProven} proven by an exit code, ${failedPresumed} presumed, ${failedOverridden} by override`;
  const lines: readonly (readonly [string, number, string])[] = [
    ["completed", completed, "exit code 0"],
    ["failed", failed, why],
    ["deferred", counts.deferred, `may well be alive: asked again after ${TIMING.deferS} s`],
    ["suspected", counts.suspected, "looks dead, must be observed again"],
    ["held", counts.held, "dead by all signs, but too many at once: left to a person"],
    ["undetermined", counts.undetermined, "429 or 502 is no proof: asked again"],
    ["lost-race", counts.lostRace, "a callback or cancel was first: left alone"],
    ["busy", counts.busy, "somebody else was writing the row: not waited for"],
    ["error", counts.errors, errorCause],
    ["skipped", skipped, "asked for with --run, but not past its deadline"],
  ];
  return lines.map(
    ([action, count, meaning]) => `  ${action.padEnd(13)}${String(count).padStart(5)}   ${meaning}`,
  );
}

export function checkLines(checks: readonly Check[]): readonly string[] {
  return checks.map(({ ok, text }) => `  ${ok ? "ok  " : "FAIL"}  ${text}`);
}

/** Those that were slow on purpose do not count. */
export function slowestLine(writes: readonly HostWrite[]): readonly string[] {
  const times = writes.flatMap(({ tookMs }) => (tookMs === null ? [] : [tookMs]));
  if (times.length === 0) return [];
  const slowest = Math.round(Math.max(...times));
  return [`        (the slowest of ${times.length} callbacks and cancels took ${slowest} ms)`];
}

const NAMES: readonly (readonly [keyof SweepCounts, string])[] = [
  ["completed", "completed"],
  ["failed", "failed"],
  ["deferred", "deferred"],
  ["suspected", "suspected"],
  ["held", "held"],
  ["undetermined", "undetermined"],
  ["lostRace", "lost-race"],
  ["busy", "busy"],
  ["errors", "error"],
];

/** `3 completed, 1 busy` */
export function countsText(counts: SweepCounts): string {
  return NAMES.filter(([key]) => counts[key] > 0)
    .map(([key, name]) => `${counts[key]} ${name}`)
    .join(", ");
}

/** `1 run`, `2 runs` */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
