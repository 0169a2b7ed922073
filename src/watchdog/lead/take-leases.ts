import type { LeaseHeld } from "./acquire.ts";
import { acquireTerm } from "./acquire.ts";
import type { LeaseDeps, LeaseOptions, LeaseTerm } from "./lease-term.ts";

/** What a sweep asks of the leases that it needs. */
export type HeldLease = Pick<
  LeaseTerm,
  "value" | "signal" | "trustedUntilMs" | "check" | "progress" | "release"
>;

export type LeasesAnswer = { readonly kind: "acquired"; readonly lease: HeldLease } | LeaseHeld;

/** Asked when somebody else holds a lease; true: to be tried again. What is held already stays held meanwhile. */
export type Patience = (held: LeaseHeld) => Promise<boolean>;

/**
 * The leases of these shards, in their order, all of them or none. Nobody who waits holds one that comes after it, so
 * two who want all of them do not wait for each other.
 *
 * @throws as `acquireTerm`, and what `patience` throws.
 */
export async function takeLeases(
  deps: LeaseDeps,
  options: LeaseOptions,
  shards: readonly number[],
  patience: Patience,
  signal: AbortSignal,
): Promise<LeasesAnswer> {
  const terms: LeaseTerm[] = [];
  try {
    for (const shard of shards) {
      const lease = shard === 0 ? deps.lease : deps.lease.ofShard(shard);
      let answer = await acquireTerm({ ...deps, lease }, options, signal);
      while (answer.kind === "lease-held") {
        const held = { ...answer, shard };
        if (terms.length === 0 || !(await patience(held))) return held;
        for (const term of terms) term.progress();
        answer = await acquireTerm({ ...deps, lease }, options, signal);
      }
      terms.push(answer.term);
    }
    return { kind: "acquired", lease: together(terms.splice(0)) };
  } finally {
    await releaseAll(terms);
  }
}

function together(terms: readonly LeaseTerm[]): HeldLease {
  const [first] = terms;
  if (first === undefined) throw new Error("no shard was asked for");
  if (terms.length === 1) return first;
  return {
    value: first.value,
    signal: AbortSignal.any(terms.map((term) => term.signal)),
    get trustedUntilMs() {
      return Math.min(...terms.map((term) => term.trustedUntilMs));
    },
    check() {
      for (const term of terms) term.check();
    },
    progress() {
      for (const term of terms) term.progress();
    },
    release: () => releaseAll(terms),
  };
}

async function releaseAll(terms: readonly LeaseTerm[]): Promise<void> {
  await Promise.all(terms.map((term) => term.release()));
}
