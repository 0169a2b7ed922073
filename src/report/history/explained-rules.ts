/** The rules behind a verdict, in words. */
import type { AppliedRule, DryRunResult, GuardView } from "../../rules/history/explanation.ts";
import type { Action } from "../../rules/model.ts";
import { distance, moment } from "../moments.ts";
import { count, counted } from "../words.ts";

/** What the backend said; `null`: it was not asked. */
export function evidenceWords(evidence: DryRunResult["evidence"]): string {
  if (evidence === null) return "not asked";
  const text = (key: string) => String(evidence[key] ?? "");
  switch (evidence["kind"]) {
    case "exited":
      return `the command ended with exit code ${text("exit_code")}`;
    case "failed":
      return "the run failed";
    case "running":
      return `the command runs, ${evidence["output"] === "none" ? "without" : "with"} output so far`;
    case "starting":
      return "the sandbox starts";
    case "no-command":
      return "the row names no command to ask about";
    case "gone":
      return GONE[text("reason")] ?? "the run is lost";
    case "not-asked":
      return `not asked: ${text("reason")}`;
    default:
      return `no usable answer: ${text("message")}${evidence["remedy"] ? `: ${text("remedy")}` : ""}`;
  }
}

const GONE: Readonly<Record<string, string>> = {
  "no-record": "there is no record of the sandbox",
  missing: "the sandbox is missing",
  paused: "the sandbox is paused",
  error: "the sandbox is in error",
  "no-agent-server": "the sandbox has no agent server",
  "no-sandbox-id": "the row names no sandbox to ask about",
  "command-unknown": "the sandbox runs, and its agent server does not know the command",
  "server-restarted": "the sandbox runs, and its agent server restarted after the command began",
};

/** `null` for a rule that says nothing here. */
export function ruleWords(rule: AppliedRule, readAt: string): string | null {
  switch (rule.rule) {
    case "due":
      return dueWords(rule, readAt);
    case "evidence":
      if (!rule.authoritative) return "that is no answer of the backend";
      return rule.provesLife
        ? "the backend answered for itself, and one that had lost everything could not say so"
        : "the backend answered for itself";
    case "hard-deadline":
      return hardDeadlineWords(rule, readAt);
    case "proof":
      return "that is proof: written at once, without confirmation and without the guard";
    case "unverifiable":
      return unverifiableWords(rule, readAt);
    case "confirmation":
      return confirmationWords(rule);
    case "guard":
      return null;
  }
}

type Rule<R extends AppliedRule["rule"]> = Extract<AppliedRule, { rule: R }>;

function dueWords({ due, at }: Rule<"due">, readAt: string): string {
  if (due) return "the run is due: a sweep takes it up";
  if (at === null) return "the run is never due";
  return `the run is not due before ${moment(at, readAt)}; what follows is what a sweep would do with it now`;
}

function hardDeadlineWords(
  { at, passed, decides }: Rule<"hard-deadline">,
  readAt: string,
): string | null {
  if (!decides || at === null) return null;
  return passed
    ? `its hard deadline was ${distance(at, readAt)}: waiting for a sign of life ends there`
    : `its hard deadline is ${distance(at, readAt)}: until then it may go on`;
}

function unverifiableWords(
  { since, presumedAt, reached }: Rule<"unverifiable">,
  readAt: string,
): string {
  if (reached) return "there was no usable answer for so long that it is given up";
  const so =
    since === null ? "this is the first time" : `there was none since ${moment(since, readAt)}`;
  const until = presumedAt === null ? "" : `; given up at ${moment(presumedAt, readAt)}`;
  return `no usable answer is no verdict, ${so}${until}`;
}

function confirmationWords({ needed, seen, missing, counts }: Rule<"confirmation">): string {
  const now = counts ? "with this one" : "this one came too soon to count";
  const needs = `a presumption must be seen ${counted(needed, "time")}`;
  return `${needs}: ${seen} so far, ${now}; ${missing === 0 ? "confirmed" : `${missing} missing`}`;
}

/** The guard as it stands, whether it is asked or not. */
export function guardWords(guard: GuardView, readAt: string): readonly string[] {
  const { presumed, massAbove, massFailure, answered, life, presumedLastHour, hourlyCap } = guard;
  const words = [
    `guard: ${counted(presumed, "run")} presumed dead and ${count(answered)} answered for, more than ${count(massAbove)} are a mass failure${massFailure ? ": they are held" : ""}`,
    `guard: ${LIFE[life ?? "not-asked"]}`,
    `guard: ${count(presumedLastHour)} of at most ${count(hourlyCap)} presumptions were written in the last hour`,
  ];
  if (guard.boundAt !== null) {
    words.push(
      `guard: from ${moment(guard.boundAt, readAt)} on, only the hourly limit can hold it`,
    );
  }
  return words;
}

const LIFE = {
  seen: "the backend has shown that it recognises a living run",
  none: "no sign of life from any run",
  "nobody-to-ask": "there is no other run to ask whether the backend recognises a living one",
  "not-asked": "a sign of life is looked for once the presumption is confirmed",
};

/** What a sweep would do with the run now. */
export function conclusionWords({ rules, outcome, againAt }: DryRunResult, readAt: string): string {
  const due = rules.some((rule) => rule.rule === "due" && rule.due);
  const held = rules.find((rule) => rule.rule === "guard");
  const heldFor = held?.rule === "guard" ? held.heldFor : null;
  const { action, basis, reason } = outcome;
  const why = action === "held" ? (heldFor ?? "the guard") : reason;
  const what = `${DOES[action]}${basis === "presumption" && action === "failed" ? ", presumed" : ""}`;
  const then = againAt === null ? "" : `; asked again ${distance(againAt, readAt)}`;
  return `a sweep ${due ? "does" : "would do"} this with it: ${what}${why === null ? "" : ` (${why})`}${then}`;
}

const DOES: Readonly<Record<Action, string>> = {
  completed: "set it to COMPLETED",
  failed: "set it to FAILED",
  deferred: "leave it RUNNING, it lives",
  suspected: "leave it RUNNING and remember that it looks dead",
  undetermined: "leave it RUNNING, for want of an answer",
  held: "hold it back and leave it RUNNING",
  skipped: "leave it RUNNING, without asking",
  error: "leave it RUNNING, because it cannot be handled",
  busy: "leave it alone, somebody else is writing it",
  "lost-race": "leave it alone, it has changed meanwhile",
};
