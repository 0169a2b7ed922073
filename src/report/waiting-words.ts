/** What a report says of runs that wait. */
import {
  NO_SUCH_RUN,
  type SweepReport,
  type WaitingCounts,
  type WaitingState,
} from "../rules/report.ts";
import { type RunGroup, whatHappened } from "./groups.ts";
import { count } from "./words.ts";

/** What did not come to an end, of the runs of this sweep and, when none of them is among it, of earlier ones. */
export function unfinished({ status, counts, waiting, dryRun, runs }: SweepReport): string {
  const { errors, skipped, undetermined, stale } = counts;
  if (status === "ok" || stale === 0) return "";
  if (status === "held") {
    return counts.held > 0
      ? `, ${count(counts.held)} ${whatHappened("held", dryRun)}`
      : `, ${count(waiting?.held ?? 0)} held back before`;
  }
  if (errors > 0) return `, ${count(errors)} could not be handled`;
  const unknown = runs.filter(({ reason }) => reason === NO_SUCH_RUN).length;
  if (unknown > 0)
    return `, ${count(unknown)} of the named runs ${unknown === 1 ? "does" : "do"} not exist`;
  if (skipped > 0) return `, ${count(skipped)} skipped`;
  if (undetermined === stale) return ", no answer from the backend could be used";
  if (undetermined > 0) return `, ${count(undetermined)} without an answer`;
  return `, ${count((waiting?.unanswered ?? 0) + (waiting?.failing ?? 0))} wait since before`;
}

/** For a sweep that took up no run; `null` when none waits either. */
export function nothingDue({ waiting, finishedAt, counts }: SweepReport): string | null {
  const states = waitingText(waiting);
  if (states === "" || counts.stale > 0) return null;
  return `nothing is due now: ${states}${nextLook(waiting?.nextLookAt ?? null, finishedAt)}`;
}

/** What is wrong, one text for each cause, as far as the groups of this sweep's own runs do not say it. */
export function untold(
  { status, message, counts }: SweepReport,
  groups: readonly RunGroup[],
): readonly string[] {
  if (message === null || (status !== "partial" && status !== "held")) return [];
  const told = groups.flatMap(({ cause, runIds }) =>
    cause === null ? [] : [`${runIds.length} x ${cause}`],
  );
  if (counts.held > 0) told.push(`${counts.held} held back by the guard`);
  return message.split("; ").filter((text) => !told.some((start) => text.startsWith(start)));
}

const STATES: Readonly<Record<WaitingState, string>> = {
  held: "held",
  unanswered: "without an answer",
  failing: "not handled",
  suspected: "suspected",
  alive: "alive",
};

function waitingText(
  waiting: WaitingCounts | null,
  states: readonly WaitingState[] = ["held", "unanswered", "failing", "suspected", "alive"],
): string {
  const counted = states.map((state) => [waiting?.[state] ?? 0, STATES[state]] as const);
  const some = counted.filter(([number]) => number > 0);
  return some.map(([number, name]) => `${count(number)} ${name}`).join(", ");
}

function nextLook(at: string | null, now: string): string {
  if (at === null) return "";
  const inMs = Date.parse(at) - Date.parse(now);
  if (inMs <= 0) return ", the next look is due";
  return `, next look in ${inMs < 120_000 ? `${Math.ceil(inMs / 1000)} s` : `${Math.ceil(inMs / 60_000)} min`}`;
}
