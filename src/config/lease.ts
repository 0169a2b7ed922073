import type { EnvReader } from "./env/env-reader.ts";

/** Always `ttlMs > 2 * renewMs` and `marginMs < ttlMs - renewMs`. */
export interface LeaseConfig {
  readonly ttlMs: number;
  readonly renewMs: number;
  readonly marginMs: number;
}

export function readLease(reader: EnvReader): LeaseConfig {
  return {
    ttlMs: reader.duration("WATCHDOG_LEASE_TTL", { default: "15s", min: "1s", max: "10m" }),
    renewMs: reader.duration("WATCHDOG_LEASE_RENEW", { default: "5s", min: "100ms", max: "5m" }),
    marginMs: reader.duration("WATCHDOG_LEASE_MARGIN", { default: "2s", min: "50ms", max: "5m" }),
  };
}

export function checkLeaseRelations(
  reader: EnvReader,
  { ttlMs, renewMs, marginMs }: LeaseConfig,
): void {
  if (reader.failed("WATCHDOG_LEASE_TTL", "WATCHDOG_LEASE_RENEW")) return;
  if (ttlMs <= 2 * renewMs) {
    reader.problem(
      "WATCHDOG_LEASE_TTL",
      `must be longer than twice WATCHDOG_LEASE_RENEW (${renewMs} ms), got ${ttlMs} ms`,
    );
  }
  if (reader.failed("WATCHDOG_LEASE_MARGIN")) return;
  if (marginMs >= ttlMs - renewMs) {
    reader.problem(
      "WATCHDOG_LEASE_MARGIN",
      `must be shorter than WATCHDOG_LEASE_TTL minus WATCHDOG_LEASE_RENEW (${ttlMs - renewMs} ms), got ${marginMs} ms`,
    );
  }
}
