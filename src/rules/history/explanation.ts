/** Why a run is where it is: what its verdict rests on, for people and scripts. Decides nothing; it tells what the rules have decided. */
import { causeOf } from "../cause.ts";
import { isAuthoritative, provesLife, summarise } from "../evidence.ts";
import type { Pause } from "../fleet/pause.ts";
import {
  type GuardPolicy,
  type GuardScene,
  hourlyCap,
  isMassFailure,
  type Life,
  mostNormal,
} from "../guard.ts";
import type { Evidence, Failure, RunSnapshot, Verdict, VerdictPolicy } from "../model.ts";
import { remedyFor } from "../remedy.ts";
import type { RunOutcome } from "../report.ts";
import { observation } from "../suspicion.ts";
import { hardDeadline } from "../verdict.ts";
import type { JournaledVerdict, RunRecord } from "./journal.ts";

/** Version 1 of the JSON document. Points in time are ISO 8601 in UTC. */
export interface Explanation {
  readonly version: 1;
  readonly runId: string;
  /** The database's clock. */
  readonly readAt: string;
  /** `null` when the host has removed the run, and only the journal knows it. */
  readonly run: RunRecord | null;
  /** When a RUNNING run is looked at next: by the first sweep after this, at once when it is past. */
  readonly nextLookAt: string | null;
  /** A pause in force, which keeps every sweep from it; `null` also when it is not RUNNING, or nobody can say. */
  readonly paused: Pick<Pause, "until" | "by" | "reason"> | null;
  /** What a sweep would do with it now; `null` when it is not RUNNING. */
  readonly now: DryRunResult | null;
  /** Newest first. */
  readonly verdicts: readonly JournaledVerdict[];
}

export interface DryRunResult {
  /** Kind, codes, statuses and sizes; `cause`, `message` and `remedy` where
   * there was no usable answer. `null` when nobody was asked. */
  readonly evidence: Readonly<Record<string, unknown>> | null;
  readonly outcome: Omit<RunOutcome, "runId">;
  /** When it would be asked about again if it stays RUNNING. */
  readonly againAt: string | null;
  /** In the order in which they apply. */
  readonly rules: readonly AppliedRule[];
  readonly guard: GuardView;
}

export type AppliedRule =
  | { readonly rule: "due"; readonly due: boolean; readonly at: string | null }
  /** `decides`: the same answer leads to another verdict on the other side of it. */
  | {
      readonly rule: "hard-deadline";
      readonly at: string | null;
      readonly passed: boolean;
      readonly decides: boolean;
    }
  | {
      readonly rule: "evidence";
      readonly authoritative: boolean;
      readonly provesLife: boolean;
    }
  /** Whether it rests on an exit code or a stated failure: written at once, without confirmation and guard. */
  | { readonly rule: "proof" }
  /** No usable answer is no verdict, until there was none for so long. */
  | {
      readonly rule: "unverifiable";
      readonly since: string | null;
      readonly presumedAt: string | null;
      readonly reached: boolean;
    }
  /** `counts`: this sight is one more observation, not too soon after the last one. */
  | {
      readonly rule: "confirmation";
      readonly needed: number;
      readonly seen: number;
      readonly missing: number;
      readonly counts: boolean;
    }
  /** `asked` only for a confirmed presumption. `heldFor` is `null` when it lets the verdict pass. */
  | { readonly rule: "guard"; readonly asked: boolean; readonly heldFor: string | null };

/** The guard as it stands for a sweep that is limited to this run. */
export interface GuardView {
  /** Runs that the last full sweep got an answer for. */
  readonly answered: number;
  readonly presumed: number;
  /** More presumptions are a mass failure. */
  readonly massAbove: number;
  readonly massFailure: boolean;
  /** `null`: not looked for, because no confirmed presumption waits. */
  readonly life: Life | null;
  readonly presumedLastHour: number;
  readonly hourlyCap: number;
  /** From then on only the hourly cap can hold the run's verdict. */
  readonly boundAt: string | null;
}

export interface Case {
  readonly record: RunRecord;
  readonly run: RunSnapshot;
  /** `null` when nobody was asked. */
  readonly judged: { readonly evidence: Evidence; readonly verdict: Verdict } | null;
  readonly outcome: RunOutcome;
  /** Until it would be asked about again; `null` when it would not stay RUNNING. */
  readonly againInMs: number | null;
  readonly scene: Omit<GuardScene, "life"> & { readonly life: Life | null };
  readonly horizonMs: number;
  readonly deferMs: number;
  readonly policy: VerdictPolicy;
  readonly guard: GuardPolicy;
}

export function dryRunResultOf(found: Case): DryRunResult {
  const { judged, outcome, againInMs, horizonMs } = found;
  const { runId: _, ...told } = outcome;
  return {
    evidence: judged && evidenceOf(judged.evidence),
    outcome: told,
    againAt: againInMs === null ? null : instant(horizonMs + againInMs),
    rules: rulesOf(found),
    guard: guardOf(found),
  };
}

/** The later of when it is due and when it may be tried again. */
export function nextLookAt({ status, dueAt, remembered }: RunRecord): string | null {
  if (status !== "RUNNING") return null;
  const retryAt = remembered?.errorRetryAt ?? null;
  if (dueAt === null || retryAt === null) return dueAt;
  return Date.parse(retryAt) > Date.parse(dueAt) ? retryAt : dueAt;
}

function evidenceOf(evidence: Evidence): Readonly<Record<string, unknown>> {
  const failure = "failure" in evidence ? causeAndRemedy(evidence.failure) : {};
  const reason = evidence.kind === "not-asked" ? { reason: evidence.reason } : {};
  return { ...summarise(evidence), ...failure, ...reason };
}

function causeAndRemedy(failure: Failure) {
  const cause = causeOf(failure);
  return { cause, message: failure.message, remedy: remedyFor(cause) };
}

function rulesOf(found: Case): readonly AppliedRule[] {
  const { record, run, judged, horizonMs, policy } = found;
  const at = nextLookAt(record);
  const due = at !== null && !(Date.parse(at) >= horizonMs);
  const rules: AppliedRule[] = [{ rule: "due", due, at }];
  if (judged === null) return rules;
  const { evidence, verdict } = judged;
  rules.push({
    rule: "evidence",
    authoritative: isAuthoritative(evidence),
    provesLife: provesLife(evidence),
  });
  const hardMs = hardDeadline(run, policy);
  rules.push({
    rule: "hard-deadline",
    at: instant(hardMs),
    passed: horizonMs >= hardMs,
    decides: DECIDED_BY_TIME.has(evidence.kind),
  });
  if ("failure" in evidence) rules.push(unverifiable(found, hardMs));
  if (verdict.kind === "complete" || (verdict.kind === "fail" && verdict.basis === "proof")) {
    return [...rules, { rule: "proof" }];
  }
  return verdict.kind === "fail" ? [...rules, ...presumption(found, verdict)] : rules;
}

const DECIDED_BY_TIME = new Set<Evidence["kind"]>([
  ...(["running", "starting", "no-command", "unreachable", "malformed"] as const),
]);

function unverifiable({ run, horizonMs, policy }: Case, hardMs: number): AppliedRule {
  const sinceMs = run.suspicion?.unknownSinceMs ?? null;
  const presumedAtMs = Math.max(hardMs, (sinceMs ?? horizonMs) + policy.unverifiableAfterMs);
  return {
    rule: "unverifiable",
    since: sinceMs === null ? null : instant(sinceMs),
    presumedAt: instant(presumedAtMs),
    reached: sinceMs !== null && horizonMs >= presumedAtMs,
  };
}

function presumption(
  { run, outcome, deferMs, guard }: Case,
  { reason, needsConfirmation }: Extract<Verdict, { kind: "fail" }>,
): readonly AppliedRule[] {
  const rules: AppliedRule[] = [];
  const { presumedTimes: seen, observed: counts } = observation(run.suspicion, reason, deferMs);
  const missing = needsConfirmation ? Math.max(0, guard.confirmations - seen) : 0;
  if (needsConfirmation) {
    rules.push({ rule: "confirmation", needed: guard.confirmations, seen, missing, counts });
  }
  const asked = missing === 0;
  const heldFor =
    outcome.action === "held" ? (outcome.reason?.slice(reason.length + 2) ?? "") : null;
  return [...rules, { rule: "guard", asked, heldFor }];
}

function guardOf({ scene, run, policy, guard }: Case): GuardView {
  const { life, answered, presumed, appliedLastHour, provenLastHour } = scene;
  return {
    answered,
    presumed,
    massAbove: mostNormal({ answered }, guard),
    massFailure: isMassFailure({ ...scene, life: life ?? "none" }, guard),
    life,
    presumedLastHour: appliedLastHour,
    hourlyCap: hourlyCap({ provenLastHour }, guard),
    boundAt: instant(hardDeadline(run, policy) + guard.unverifiableAfterMs),
  };
}

/** `null` for what no Date can hold. */
function instant(ms: number): string | null {
  return Math.abs(ms) <= LAST_MS ? new Date(ms).toISOString() : null;
}

const LAST_MS = 8.64e15;
