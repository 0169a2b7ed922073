/** How long the leases last of workers that are to be killed. */

export interface LeaseTimes {
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly marginMs: number;
}

const DEFAULT: LeaseTimes = { ttlMs: 15_000, renewMs: 5000, marginMs: 2000 };
const SHORT: LeaseTimes = { ttlMs: 3000, renewMs: 1000, marginMs: 500 };

/** The worker's own default, or one that is over sooner. */
export function leaseTimes({ full }: { readonly full: boolean }): LeaseTimes {
  return full ? DEFAULT : SHORT;
}

/** For a worker's environment. */
export function leaseEnv({
  ttlMs,
  renewMs,
  marginMs,
}: LeaseTimes): Readonly<Record<string, string>> {
  return {
    WATCHDOG_LEASE_TTL: `${ttlMs}ms`,
    WATCHDOG_LEASE_RENEW: `${renewMs}ms`,
    WATCHDOG_LEASE_MARGIN: `${marginMs}ms`,
  };
}
