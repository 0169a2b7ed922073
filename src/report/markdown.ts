import { remedyFor } from "../rules/remedy.ts";
import type { SweepReport } from "../rules/report.ts";
import { groupRuns, type RunGroup, whatHappened } from "./groups.ts";
import { COUNTED, headline } from "./human.ts";
import type { ProblemReport } from "./problems.ts";
import { untold } from "./waiting-words.ts";
import { count, counted, printable } from "./words.ts";

/** A summary may hold 1 MiB; whoever wants every id reads the JSON document. */
const MAX_RUNS_SHOWN = 10;
const MAX_GROUPS_SHOWN = 50;

/** Markdown for the page of a CI job: a sentence, the counts, and the runs by what became of them. */
export function markdownSummary(report: SweepReport): string {
  const { counts, cleanups, dryRun } = report;
  const outcomes = COUNTED.filter(([key]) => counts[key] > 0).map(
    ([key, name, did, would]) => [name, count(counts[key]), dryRun ? would : did] as const,
  );
  const { done, pending, abandoned } = cleanups;
  const groups = groupRuns(report.runs);
  const more = groups.length - MAX_GROUPS_SHOWN;
  return section(headline(report), [
    table(["outcome", "runs", "meaning"], outcomes),
    table(["waiting", "runs"], waitingRows(report)),
    done + pending + abandoned > 0
      ? `Sandboxes: ${count(done)} deleted, ${count(pending)} pending, ${count(abandoned)} abandoned.\n`
      : "",
    table(
      ["what happened", "runs", "why", "what to do", "which"],
      groups.slice(0, MAX_GROUPS_SHOWN).map((group) => groupRow(group, dryRun)),
    ),
    untold(report, groups)
      .map((other) => `- ${text(other)}\n`)
      .join(""),
    more > 0 ? `And ${counted(more, "more reason")}.\n` : "",
    report.status === "held"
      ? 'Held runs stay RUNNING. Check the backend first. If they really are dead: `run-watchdog once --override-guard "<why they are dead>"`\n'
      : "",
  ]);
}

/** Markdown for a command that did not get as far as its own result. */
export function markdownProblems({ exitCode, problems }: ProblemReport): string {
  const list = problems.map((problem) => `- ${code(problem)}\n`).join("");
  return section(`could not do its work (exit code ${exitCode})`, [list]);
}

function waitingRows({ waiting }: SweepReport): readonly (readonly string[])[] {
  return Object.entries(waiting ?? {}).flatMap(([state, number]) =>
    typeof number === "number" && number > 0 ? [[state, count(number)]] : [],
  );
}

function groupRow({ action, why, cause, runIds }: RunGroup, dryRun: boolean): readonly string[] {
  const ids = runIds.slice(0, MAX_RUNS_SHOWN).map(code);
  const more = runIds.length - ids.length;
  return [
    whatHappened(action, dryRun),
    count(runIds.length),
    why === "" ? "" : code(why),
    cause === null ? "" : text(remedyFor(cause) ?? ""),
    [...ids, ...(more > 0 ? [`and ${count(more)} more`] : [])].join("<br>"),
  ];
}

function section(title: string, parts: readonly string[]): string {
  const shown = parts.filter((part) => part !== "");
  return `${[`### run-watchdog: ${text(title)}\n`, ...shown].join("\n")}\n`;
}

/** Empty without rows. Numbers stand in the second column. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const rule = head.map((_, index) => (index === 1 ? "---:" : "---"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** Nothing in it is markup or ends its cell. */
function text(raw: string): string {
  return printable(raw).replaceAll(/[\\`*_{}[\]<>#|~]/g, "\\$&");
}

function code(raw: string): string {
  return `\`${printable(raw).replaceAll("`", "'").replaceAll("|", "\\|")}\``;
}
