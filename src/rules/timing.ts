/** When a lease is trusted, renewed and tried again. Points in time are monotonic milliseconds. */

/** Holds for every worker of an installation: `ttlMs > 2 * renewMs` and `marginMs < ttlMs - renewMs`. */
export interface LeaseTiming {
  /** How long the store keeps a lease that is not renewed. */
  readonly ttlMs: number;
  readonly renewMs: number;
  /** How much earlier than the store the holder stops trusting it: for clocks that run at different speeds. */
  readonly marginMs: number;
}

const RENEWAL_RETRY_MS = 1000;
const CONTEND_JITTER_MS = 200;
const CONTEND_FREE_AGAIN_MS = 1000;

/**
 * The first moment at which the lease is no longer trusted.
 *
 * Counted from before the command was sent: the store counts from when it carried the command out, which is later, so
 * a slow answer shortens the trust and never lengthens it.
 */
export function leaseTrustedUntilMs(sentAtMs: number, timing: LeaseTiming): number {
  return sentAtMs + Math.max(0, timing.ttlMs - timing.marginMs);
}

/** When the next renewal is due after one that was sent at `sentAtMs` and succeeded. */
export function leaseRenewAtMs(sentAtMs: number, timing: LeaseTiming): number {
  return sentAtMs + timing.renewMs;
}

/** When the next renewal is due after one that was sent at `sentAtMs` and got no answer. */
export function leaseRenewalRetryAtMs(sentAtMs: number): number {
  return sentAtMs + RENEWAL_RETRY_MS;
}

/**
 * How long a refused worker waits before it contends again: until the lease runs out, and a little more, so that not
 * all of them arrive at once. One that is free by now is tried at once, then every second: it may be refused for ever.
 *
 * @param expiresInMs not above 0 when the lease is free by now; `null` when it never expires by itself.
 * @param fraction uniform in [0, 1).
 * @param freeRefusals how often in a row it was refused although it was free, since its tick.
 * @returns `null` when waiting is of no use.
 */
export function leaseContendInMs(
  expiresInMs: number | null,
  fraction: number,
  freeRefusals = 1,
): number | null {
  if (expiresInMs === null) return null;
  if (expiresInMs > 0) return expiresInMs + fraction * CONTEND_JITTER_MS;
  return freeRefusals <= 1 ? 0 : CONTEND_FREE_AGAIN_MS;
}
