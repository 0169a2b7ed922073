import { remedyFor } from "../rules/remedy.ts";
import type { SweepReport } from "../rules/report.ts";
import { groupRuns, type RunGroup, whatHappened } from "./groups.ts";
import { headline, humanReport, runsLeftOut } from "./human.ts";
import type { ProblemReport } from "./problems.ts";
import { untold } from "./waiting-words.ts";
import { count, printable } from "./words.ts";

type Level = "error" | "warning" | "notice";

/** GitHub shows so many of each level for one step. */
const MAX_ANNOTATIONS = 10;
const MAX_RUNS_NAMED = 3;

/** Workflow commands for GitHub Actions, then the report for people. The first annotation says how the sweep went. */
export function githubReport(report: SweepReport): string {
  const groups = groupRuns(report.runs);
  const commands = [
    command(levelOf(report), headline(report)),
    ...[runsLeftOut(report)].flatMap((text) => (text === null ? [] : [command("notice", text)])),
    ...groups.flatMap((group) => annotation(group, report.dryRun)),
    ...untold(report, groups).map((text) => command("warning", text)),
  ];
  return `${atMostTenEach(commands).join("\n")}\n${withoutCommands(humanReport(report))}`;
}

/** Annotations for a command that did not get as far as its own result. */
export function githubProblems({ problems }: ProblemReport): string {
  const commands = problems.map((problem) => command("error", problem));
  return `${atMostTenEach(commands).join("\n")}\n`;
}

/** Lines for GITHUB_OUTPUT: what later steps may ask for as `steps.<id>.outputs.<name>`. */
export function githubOutputs(report: SweepReport | ProblemReport): string {
  const facts = "counts" in report ? factsOf(report) : [];
  const lines = [["status", report.status], ["exit-code", report.exitCode], ...facts] as const;
  return lines.map(([name, value]) => `${kebab(name)}=${value}\n`).join("");
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function factsOf({
  message,
  counts,
  waiting,
}: SweepReport): readonly (readonly [string, unknown])[] {
  return [
    ["message", printable(message ?? "")],
    ...Object.entries(counts),
    ...Object.entries(waiting ?? {}).map(
      ([name, value]) => [`waiting-${name}`, value ?? ""] as const,
    ),
  ];
}

function levelOf({ status }: SweepReport): Level {
  switch (status) {
    case "ok":
      return "notice";
    case "error":
    case "unavailable":
      return "error";
    case "partial":
    case "held":
    case "lease-held":
    case "paused":
    case "interrupted":
      return "warning";
  }
}

/** What somebody has to look at, and what was ended as failed. */
function annotation(group: RunGroup, dryRun: boolean): readonly string[] {
  switch (group.action) {
    case "error":
      return [command("error", inWords(group, dryRun))];
    case "held":
    case "undetermined":
    case "skipped":
      return [command("warning", inWords(group, dryRun))];
    case "failed":
      return [command("notice", inWords(group, dryRun))];
    case "completed":
    case "deferred":
    case "suspected":
    case "lost-race":
    case "busy":
      return [];
  }
}

function inWords({ action, why, cause, runIds }: RunGroup, dryRun: boolean): string {
  const number = runIds.length;
  const what = `${count(number)} ${number === 1 ? "run" : "runs"} ${whatHappened(action, dryRun)}`;
  const remedy = cause === null ? null : remedyFor(cause);
  const named = runIds.slice(0, MAX_RUNS_NAMED).join(", ");
  const more = number - MAX_RUNS_NAMED;
  return [
    why === "" ? what : `${what}: ${why}`,
    ...(remedy === null ? [] : [`What to do: ${remedy}`]),
    more > 0 ? `${named} and ${count(more)} more` : named,
  ].join("\n");
}

function atMostTenEach(commands: readonly string[]): readonly string[] {
  const shown = new Map<string, number>();
  return commands.filter((each) => {
    const level = each.slice(0, each.indexOf(" "));
    const times = (shown.get(level) ?? 0) + 1;
    shown.set(level, times);
    return times <= MAX_ANNOTATIONS;
  });
}

/** GitHub reads percent, carriage return and line feed as escapes; each line of a message is made printable. */
function command(level: Level, message: string): string {
  const lines = message.split("\n").map((line) => printable(line).replaceAll("%", "%25"));
  return `::${level} title=run-watchdog::${lines.join("%0A")}`;
}

/** The runner obeys what stands at the start of a line, even an indented one, and the older form anywhere in it. */
function withoutCommands(text: string): string {
  return text.replace(/^(\s*):(?=:)/gm, "$1: ").replaceAll("##[", "## [");
}
