import type { JournaledVerdict } from "../../rules/history/journal.ts";
import { counted, printable, wrapped } from "../words.ts";

export interface History {
  /** Newest first. */
  readonly verdicts: readonly JournaledVerdict[];
  /** Older ones were left out. */
  readonly more: boolean;
}

export interface HistoryDocument extends History {
  readonly version: 1;
}

/** Exactly one document and a newline. */
export function jsonHistory(history: History): string {
  const document: HistoryDocument = { version: 1, ...history };
  return `${JSON.stringify(document)}\n`;
}

/** One line per verdict, by days, and one more where a person had a part in it. */
export function humanHistory({ verdicts, more }: History): string {
  if (verdicts.length === 0) return "no verdicts found\n";
  const lines: string[] = [];
  let day = "";
  for (const verdict of verdicts) {
    const [date = "", time = ""] = verdict.decidedAt.split(/[TZ.]/);
    if (date !== day) {
      if (day !== "") lines.push("");
      day = date;
      lines.push(`${date} (UTC)`, HEAD);
    }
    const { runId, reason } = verdict;
    const why = shortened(reason, REASON_CHARS);
    lines.push(`${time} ${runId} ${verdictName(verdict).padEnd(VERDICT_CHARS)} ${why}`.trimEnd());
    lines.push(...remarks(verdict).flatMap((remark) => wrapped(remark, REMARK_INDENT)));
  }
  lines.push("", footer(verdicts, more));
  return `${lines.join("\n")}\n`;
}

/** Presumptions only ever end a run as FAILED. */
export function verdictName({ outcome, basis }: JournaledVerdict): string {
  return basis === "presumption" ? "presumed" : outcome.toLowerCase();
}

const VERDICT_CHARS = 9;
const REASON_CHARS = 24;
const REMARK_INDENT = 9;
const HEAD = `${"TIME".padEnd(8)} ${"RUN".padEnd(36)} ${"VERDICT".padEnd(VERDICT_CHARS)} REASON`;

function remarks(verdict: JournaledVerdict): readonly string[] {
  const { overturned, statusNow, overrideReason, cleanup } = verdict;
  const said: string[] = [];
  if (overturned) said.push(`overturned: the run is ${statusNow ?? "gone"} by now`);
  if (overrideReason !== null) said.push(`guard overridden: ${overrideReason}`);
  if (cleanup.state === "abandoned") {
    said.push(`its sandbox could not be deleted: ${cleanup.error ?? "unknown cause"}`);
  }
  return said;
}

function footer(verdicts: readonly JournaledVerdict[], more: boolean): string {
  const presumed = verdicts.filter(({ basis }) => basis === "presumption").length;
  const overturned = verdicts.filter((verdict) => verdict.overturned).length;
  const shown = `${counted(verdicts.length, "verdict")}, ${presumed} presumed, ${overturned} overturned`;
  return more ? `${shown}; there are older ones (--limit)` : shown;
}

function shortened(text: string, chars: number): string {
  const line = printable(text);
  return line.length > chars ? `${line.slice(0, chars - 1)}…` : line;
}
