import { pauseReason } from "../../rules/fleet/pause.ts";
import type { DryRunResult, Explanation } from "../../rules/history/explanation.ts";
import type { JournaledVerdict, Remembered, RunRecord } from "../../rules/history/journal.ts";
import { between, distance, field, moment } from "../moments.ts";
import { counted, duration, wrapped } from "../words.ts";
import { conclusionWords, evidenceWords, guardWords, ruleWords } from "./explained-rules.ts";
import { verdictName } from "./history.ts";

/** Exactly one document and a newline. */
export function jsonExplanation(explanation: Explanation): string {
  return `${JSON.stringify(explanation)}\n`;
}

/** For people: the run, what is remembered of it, what the backend says, what follows from that, and its history. */
export function humanExplanation(explanation: Explanation): string {
  const { runId, run, now, readAt, verdicts, paused } = explanation;
  const lines = [`run ${runId}`, ...wrapped(headline(run, readAt), 0)];
  if (run !== null) lines.push("", ...rowLines(explanation, run));
  if (run?.status === "RUNNING") lines.push("", ...rememberedLines(run.remembered, readAt));
  if (now !== null) lines.push("", ...nowLines(now, readAt));
  if (paused !== null) lines.push(...wrapped(`But nothing is swept: ${pauseReason(paused)}`, 0, 2));
  lines.push("", ...journalLines(run, verdicts, readAt));
  return `${lines.join("\n")}\n`;
}

function headline(run: RunRecord | null, readAt: string): string {
  if (run === null) return "gone from automation_runs, only the journal knows it";
  const { status, completedAt, timeoutAt, remembered, dueAt } = run;
  if (status !== "RUNNING") {
    return completedAt === null ? status : `${status} since ${moment(completedAt, readAt)}`;
  }
  const deadlineAt = remembered?.firstDeadlineAt ?? timeoutAt ?? dueAt;
  if (deadlineAt === null) return "RUNNING without a deadline";
  const overdueMs = between(deadlineAt, readAt);
  if (overdueMs === null) return `RUNNING, its deadline is ${deadlineAt}`;
  return overdueMs > 0
    ? `RUNNING, ${duration(overdueMs)} past its deadline`
    : `RUNNING, its deadline is in ${duration(-overdueMs)}`;
}

function rowLines(
  { nextLookAt, now, readAt, verdicts }: Explanation,
  run: RunRecord,
): readonly string[] {
  const at = (time: string | null, none: string) => (time === null ? none : moment(time, readAt));
  const lines = [
    ...field("automation", run.automationId),
    ...field("began", at(run.beganAt, "not yet")),
  ];
  if (run.shielded) {
    const first = run.remembered?.firstDeadlineAt ?? null;
    lines.push(...field("deadline", at(first, "not remembered")));
    const why = "set by this worker, so that the host's own watchdog leaves the run alone";
    lines.push(...field("shield", `${at(run.timeoutAt, "none")}: ${why}`));
  } else {
    // A verdict takes what was remembered with it, and leaves the shield where it is.
    const first =
      run.status === "RUNNING" ? null : (verdicts[0]?.suspicion?.firstDeadlineAt ?? null);
    lines.push(...field("deadline", at(first ?? run.timeoutAt, "none")));
  }
  const hard = now?.rules.find(({ rule }) => rule === "hard-deadline");
  if (hard?.rule === "hard-deadline") {
    const what = "start, sandbox, run time and grace as the host allows them";
    lines.push(...field("hard deadline", `${at(hard.at, "none")}: ${what}`));
  }
  if (run.status === "RUNNING") lines.push(...field("next look", nextLook(nextLookAt, readAt)));
  lines.push(...field("sandbox", run.sandboxId || "none"));
  lines.push(...field("command", run.bashCommandId || "none"));
  return lines;
}

function nextLook(at: string | null, readAt: string): string {
  if (at === null) return "never: it has neither a start nor a deadline";
  return (between(at, readAt) ?? 0) > 0
    ? "with the next sweep"
    : `with the first sweep after ${moment(at, readAt)}`;
}

function rememberedLines(remembered: Remembered | null, readAt: string): readonly string[] {
  if (remembered === null) return ["remembered: nothing"];
  const { heldSince, notedAt } = remembered;
  const lines = [...suspectedLines(remembered, readAt)];
  if (heldSince !== null) lines.push(...field("held", `since ${moment(heldSince, readAt)}`));
  lines.push(...unansweredLines(remembered, readAt), ...failingLines(remembered, readAt));
  if (lines.length === 0) lines.push(...field("state", "alive, or not asked about"));
  return ["remembered", ...lines, ...field("noted", moment(notedAt, readAt))];
}

function suspectedLines(
  { presumedTimes, presumedReason, presumedLastAt }: Remembered,
  readAt: string,
): readonly string[] {
  if (presumedTimes === 0) return [];
  const last = presumedLastAt === null ? "" : `, the last one ${distance(presumedLastAt, readAt)}`;
  return field("suspected", `${counted(presumedTimes, "time")}${last}${because(presumedReason)}`);
}

function unansweredLines(
  { unknownTimes, unknownSince, unknownCause }: Remembered,
  readAt: string,
): readonly string[] {
  if (unknownTimes === 0) return [];
  const since = unknownSince === null ? "" : `, since ${moment(unknownSince, readAt)}`;
  const times = `${counted(unknownTimes, "time")} in a row${since}`;
  return field("unanswered", `${times}${because(unknownCause)}`);
}

function failingLines(
  { errorTimes, errorCause, errorRetryAt }: Remembered,
  readAt: string,
): readonly string[] {
  if (errorTimes === 0) return [];
  const until = errorRetryAt === null ? "" : `, not tried before ${moment(errorRetryAt, readAt)}`;
  return field("failing", `${counted(errorTimes, "time")}${until}${because(errorCause)}`);
}

function because(reason: string | null): string {
  return reason === null ? "" : `: ${reason}`;
}

function nowLines(now: DryRunResult, readAt: string): readonly string[] {
  const { evidence, outcome, rules, guard } = now;
  const took = outcome.verifyMs === null ? "" : ` (${duration(outcome.verifyMs)})`;
  const bullets = [
    ...rules.flatMap((rule) => ruleWords(rule, readAt) ?? []),
    ...(rules.some(({ rule }) => rule === "guard") ? guardWords(guard, readAt) : []),
  ];
  return [
    ...wrapped(`the backend, asked now${took}: ${evidenceWords(evidence)}`, 0, 2),
    "",
    "what follows from that",
    ...bullets.flatMap((text) => wrapped(`- ${text}`, 2, 4)),
    ...wrapped(`So ${conclusionWords(now, readAt)}`, 0, 2),
  ];
}

function journalLines(
  run: RunRecord | null,
  verdicts: readonly JournaledVerdict[],
  readAt: string,
): readonly string[] {
  if (verdicts.length === 0) {
    return wrapped(`journal: ${run === null ? "nothing" : withoutVerdict(run)}`, 0, 2);
  }
  return ["journal", ...verdicts.flatMap((verdict) => verdictLines(verdict, readAt))];
}

function withoutVerdict({ status, timedOut }: RunRecord): string {
  if (status === "RUNNING" || status === "PENDING") return "no verdict so far";
  if (timedOut) return "no verdict of ours; another watchdog ended the run as timed out";
  return "no verdict of ours; a callback, another watchdog, a cancel request or somebody's hand ended the run";
}

function verdictLines(verdict: JournaledVerdict, readAt: string): readonly string[] {
  const { decidedAt, outcome, basis, reason, suspicion, trigger, epoch, holder } = verdict;
  const name =
    basis === "presumption" ? `${outcome}, ${verdictName(verdict)}` : `${outcome}, proven`;
  const lines = wrapped(`${moment(decidedAt, readAt)}  ${name}: ${reason}`, 2, 4).slice();
  const say = (text: string) => lines.push(...wrapped(text, 4, 6));
  say(`by ${trigger === "once" ? "once" : "the schedule"}, ${holder}, epoch ${epoch}`);
  if (suspicion === null) say("ended when it was first looked at");
  else for (const text of suspicionWords(suspicion, decidedAt)) say(text);
  if (verdict.overrideReason !== null) say(`guard overridden: ${verdict.overrideReason}`);
  if (verdict.overturned) {
    const noted = verdict.overturnedAt;
    const when = noted === null ? "" : `, noticed ${moment(noted, readAt)}`;
    say(`overturned: the run is ${verdict.statusNow ?? "gone"} by now${when}`);
  }
  say(cleanupWords(verdict, readAt));
  return lines;
}

function suspicionWords(
  suspicion: NonNullable<JournaledVerdict["suspicion"]>,
  decidedAt: string,
): readonly string[] {
  const { firstDeadlineAt, presumedTimes, presumedLastAt, unknownTimes, unknownSince, heldSince } =
    suspicion;
  const before = (at: string | null) => {
    const ms = at === null ? null : between(at, decidedAt);
    return ms === null ? "" : duration(Math.max(0, ms));
  };
  const said: string[] = [];
  if (firstDeadlineAt !== null) said.push(`${before(firstDeadlineAt)} after its first deadline`);
  if (presumedTimes > 0) {
    said.push(`suspected ${counted(presumedTimes, "time")}, last ${before(presumedLastAt)} before`);
  }
  if (unknownTimes > 0) {
    said.push(
      `unanswered ${counted(unknownTimes, "time")} in a row, first ${before(unknownSince)} before`,
    );
  }
  if (heldSince !== null) said.push(`held by the guard for ${before(heldSince)}`);
  return said;
}

function cleanupWords(
  { cleanup: { state, attempts, nextAt, error }, overturned }: JournaledVerdict,
  readAt: string,
): string {
  const why = because(error);
  switch (state) {
    case "done":
      return `its sandbox is deleted${why}`;
    case "pending": {
      if (overturned)
        return "its sandbox is not deleted any more, because that verdict is overturned";
      const when = nextAt === null ? "" : `, next try ${moment(nextAt, readAt)}`;
      return `its sandbox is to be deleted, ${counted(attempts, "attempt")} so far${when}${why}`;
    }
    case "abandoned":
      return `its sandbox could not be deleted, given up after ${counted(attempts, "attempt")}${why}`;
    default:
      return "nothing to delete";
  }
}
