import { notAskedCause } from "../rules/cause.ts";
import type { Action } from "../rules/model.ts";
import type { RunOutcome } from "../rules/report.ts";
import { printable } from "./words.ts";

/** Runs of which the same became for the same reason. */
export interface RunGroup {
  readonly action: Action;
  /** On one line; empty when there is none to tell. */
  readonly why: string;
  readonly cause: string | null;
  readonly runIds: readonly string[];
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

/** Runs that were ended or need a look, the largest group of each kind first. */
export function groupRuns(outcomes: readonly RunOutcome[]): readonly RunGroup[] {
  const shown = outcomes.filter(({ action }) => SHOWN.includes(action));
  const alike = Map.groupBy(shown, ({ action, basis, reason }) =>
    JSON.stringify([action, basis, reason]),
  );
  return [...alike.values()]
    .flatMap((runs) => {
      const [first] = runs;
      return first === undefined ? [] : [groupOf(first, runs)];
    })
    .toSorted(
      (a, b) =>
        SHOWN.indexOf(a.action) - SHOWN.indexOf(b.action) || b.runIds.length - a.runIds.length,
    );
}

function groupOf({ action, basis, reason }: RunOutcome, runs: readonly RunOutcome[]): RunGroup {
  // Of the other ends it goes without saying.
  const presumed = action === "failed" && basis === "presumption" ? "presumed" : null;
  const why = [reason, presumed].filter((part) => part !== null);
  return {
    action,
    why: printable(why.join(", ")),
    cause: causeOf(action, reason),
    runIds: runs.map(({ runId }) => runId),
  };
}

/** As the groups of waiting runs name it. */
function causeOf(action: Action, reason: string | null): string | null {
  return action === "skipped" && reason !== null ? notAskedCause(reason) : reason;
}

/** What happened to a group, after its count; a dry run only says what would happen. */
export function whatHappened(action: Action, dryRun: boolean): string {
  const phrase = PHRASES[action];
  return dryRun ? phrase.would : phrase.did;
}

interface Phrase {
  readonly did: string;
  readonly would: string;
}

const UNANSWERED = "without a usable answer";
const BROKEN = "could not be handled";

const PHRASES: Readonly<Record<Action, Phrase>> = {
  completed: { did: "set to COMPLETED", would: "would be set to COMPLETED" },
  failed: { did: "set to FAILED", would: "would be set to FAILED" },
  deferred: { did: "deferred", would: "would be deferred" },
  suspected: { did: "suspected", would: "would be suspected" },
  undetermined: { did: UNANSWERED, would: UNANSWERED },
  "lost-race": { did: "left alone", would: "would be left alone" },
  busy: { did: "left alone", would: "would be left alone" },
  held: { did: "held back by the guard", would: "would be held back by the guard" },
  skipped: { did: "skipped", would: "would be skipped" },
  error: { did: BROKEN, would: BROKEN },
};
