/**
 * The guard against mass verdicts: which confirmed presumptions may be applied, and which have to wait for a person or
 * for their bound. It is there for the case that the watchdog itself or the backend is broken.
 */

export interface GuardPolicy {
  /** How often a presumption must be seen before it counts. */
  readonly confirmations: number;
  /** More presumptions than `max(min, ratio * answered)` are a mass failure. */
  readonly min: number;
  readonly ratio: number;
  /** At most `max(perHour, ratio * provenLastHour)` presumptions are applied in an hour. */
  readonly perHour: number;
  /** A presumption waits no longer than this after its hard deadline, except for the hour's cap. */
  readonly unverifiableAfterMs: number;
}

/** Whether the backend can tell a living run from a dead one: it has proven one alive, or no other could be asked. */
export type Life = "seen" | "nobody-to-ask" | "none";

/** What the sweep knows when it decides. */
export interface GuardScene {
  readonly life: Life;
  /** Runs with authoritative evidence: of this sweep, or of the last full one where this one is limited. */
  readonly answered: number;
  /** Presumptions confirmed in this sweep, and all those that one more observation would confirm. */
  readonly presumed: number;
  /** Presumptions applied in the last hour, this sweep's included; without those a person let pass. */
  readonly appliedLastHour: number;
  /** Verdicts of the last hour that rest on proof: how much is normal depends on how large the fleet is. */
  readonly provenLastHour: number;
}

export interface GuardDecision<T> {
  readonly apply: readonly T[];
  readonly hold: readonly T[];
  /** Why some are held, in fixed vocabulary; `null` when none is. */
  readonly reason: string | null;
}

/**
 * @param waiting confirmed presumptions.
 * @param overdueMs how long ago a presumption's run met its hard deadline; negative before it. Oldest come first.
 */
export function decide<T>(
  waiting: readonly T[],
  overdueMs: (candidate: T) => number,
  scene: GuardScene,
  policy: GuardPolicy,
): GuardDecision<T> {
  const allowed = allowance(scene, policy);
  const cap = hourlyCap(scene, policy);
  const apply: T[] = [];
  const hold: T[] = [];
  let reason: string | null = null;
  for (const candidate of waiting.toSorted((a, b) => overdueMs(b) - overdueMs(a))) {
    const atItsBound = overdueMs(candidate) >= policy.unverifiableAfterMs;
    if (scene.appliedLastHour + apply.length >= cap) {
      hold.push(candidate);
      reason ??= `${cap} presumptions in an hour`;
    } else if (atItsBound || apply.length < allowed.atMost) {
      apply.push(candidate);
    } else {
      hold.push(candidate);
      reason ??= allowed.reason;
    }
  }
  return { apply, hold, reason };
}

export function isMassFailure(scene: GuardScene, policy: GuardPolicy): boolean {
  return scene.presumed > mostNormal(scene, policy);
}

/** More presumptions than this are a mass failure. */
export function mostNormal(
  { answered }: Pick<GuardScene, "answered">,
  { min, ratio }: GuardPolicy,
): number {
  return Math.max(min, ratio * answered);
}

/** Grows with the fleet: in a large one more runs get lost every hour although nothing is wrong. */
export function hourlyCap(
  { provenLastHour }: Pick<GuardScene, "provenLastHour">,
  { perHour, ratio }: GuardPolicy,
): number {
  return Math.max(perHour, Math.floor(ratio * provenLastHour));
}

/** How many are let through, and why not more. */
function allowance(
  scene: GuardScene,
  policy: GuardPolicy,
): { readonly atMost: number; readonly reason: string } {
  if (isMassFailure(scene, policy)) {
    const { presumed, answered } = scene;
    return { atMost: 0, reason: `a mass: ${presumed} presumptions, ${answered} runs answered` };
  }
  switch (scene.life) {
    case "seen":
      return { atMost: Number.POSITIVE_INFINITY, reason: "" };
    case "none":
      return { atMost: 0, reason: "no sign of life from any run" };
    case "nobody-to-ask":
      return {
        atMost: policy.min - scene.appliedLastHour,
        reason: `no other run to ask, ${policy.min} presumptions in an hour`,
      };
  }
}
