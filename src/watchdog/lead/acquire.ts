/**
 * Getting the lease, and what holding it means.
 *
 * A term is held, then it has ended; nothing leads back. While it is held, one loop renews it. It ends when
 * - its trust runs out: no renewal that was sent in time has been confirmed;
 * - the store says that the lease is held under another value, or by nobody;
 * - the sweep makes no progress: a leader cut off from its work must not lead for ever;
 * - the parent signal aborts, or the owner releases it.
 * Whatever comes first aborts the term's signal, once and with its reason. From then on nothing is renewed, and `check`
 * throws. The owner lets its writes in flight end and then calls `release`, whatever ended the term.
 *
 * Who is authoritative: the store about who may hold the lease, the holder's monotonic clock about how long it may rely
 * on that. The holder stops before the store does, as long as the two clocks agree on a TTL to within the margin.
 *
 * Not promised: that there is only one holder. A store that forgets the lease, a process that is stopped between `check`
 * and the write behind it, or a machine whose monotonic clock stands still while it sleeps, makes two. The epoch in
 * Postgres keeps the older one from writing. Nor is it promised that an acquire without an answer leaves nothing behind:
 * a command that arrives after its withdrawal was answered keeps everybody out for one TTL.
 */
import { holderOf } from "../../rules/lease-key.ts";
import { leaseTrustedUntilMs } from "../../rules/timing.ts";
import { LeaseUnavailableError } from "../errors.ts";
import type { AcquireAnswer } from "../ports.ts";
import { type LeaseDeps, type LeaseOptions, LeaseTerm } from "./lease-term.ts";

export interface LeaseHeld {
  readonly kind: "lease-held";
  readonly holder: string | null;
  /** 0 when it is free by now, `null` when it never expires by itself. */
  readonly expiresInMs: number | null;
  /** Left out where the fleet has but one. */
  readonly shard?: number;
}

export type TermAnswer = { readonly kind: "acquired"; readonly term: LeaseTerm } | LeaseHeld;

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

const WITHDRAW_RETRY_MS = 1000;

/**
 * One attempt to become the holder. A term that is handed out has to be released.
 *
 * @param signal ends the term when it aborts. After a rejection it also ends what goes on in the background, so abort
 * it before closing the lease store.
 * @throws LeaseUnavailableError when the store does not serve. An attempt that may have taken effect is being taken back
 *   then.
 * @throws signal.reason when it is aborted; what was taken is given back then.
 */
export async function acquireTerm(
  deps: LeaseDeps,
  options: LeaseOptions,
  signal: AbortSignal,
): Promise<TermAnswer> {
  signal.throwIfAborted();
  const value = `${options.holder}/${deps.random.token()}`;
  const sentAtMs = deps.clock.monotonicMs();
  let answer: AcquireAnswer;
  try {
    answer = await deps.lease.acquire(options.installation, value, options.ttlMs);
  } catch (error) {
    // In an outage every attempt would leave a loop behind that has nothing to take back.
    const nothing = error instanceof LeaseUnavailableError && error.withoutEffect;
    const withdrawn = nothing ? null : withdraw(deps, options, value, signal);
    if (signal.aborted) await withdrawn;
    signal.throwIfAborted();
    throw error;
  }
  if (answer.kind === "held") {
    const holder = answer.value === null ? null : holderOf(answer.value);
    return { kind: "lease-held", holder, expiresInMs: answer.expiresInMs };
  }
  if (signal.aborted) {
    await withdraw(deps, options, value, signal);
    signal.throwIfAborted();
  }
  const nowMs = deps.clock.monotonicMs();
  if (nowMs >= leaseTrustedUntilMs(sentAtMs, options)) {
    void withdraw(deps, options, value, signal);
    const tookMs = Math.round(nowMs - sentAtMs);
    throw new LeaseUnavailableError(
      `acquiring the lease took ${tookMs} ms, longer than it is trusted`,
    );
  }
  const term = LeaseTerm.start(deps, options, { value, sentAtMs, parent: signal });
  return { kind: "acquired", term };
}

/**
 * Takes back a value that may be in the store although no term goes with it: tries every second until the store has
 * answered or the value must have expired. The abort ends it after one more attempt. Never rejects.
 */
async function withdraw(
  { lease, clock, log }: LeaseDeps,
  { installation, ttlMs }: LeaseOptions,
  value: string,
  signal: AbortSignal,
): Promise<void> {
  const expiredAtMs = clock.monotonicMs() + ttlMs;
  do {
    try {
      await lease.release(installation, value);
      return;
    } catch (error) {
      log.debug({ err: error }, "withdrawing an uncertain lease failed");
    }
    if (signal.aborted) return;
    await clock.sleep(WITHDRAW_RETRY_MS, signal).catch(() => undefined);
  } while (clock.monotonicMs() < expiredAtMs);
}
