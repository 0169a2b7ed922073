import type { LeaseTiming } from "../rules/timing.ts";
import type { EnvReader } from "./env/env-reader.ts";

export function readLease(reader: EnvReader): LeaseTiming {
  return {
    ttlMs: reader.duration("WATCHDOG_LEASE_TTL"),
    renewMs: reader.duration("WATCHDOG_LEASE_RENEW"),
    marginMs: reader.duration("WATCHDOG_LEASE_MARGIN"),
  };
}

export function checkLeaseRelations(
  reader: EnvReader,
  { ttlMs, renewMs, marginMs }: LeaseTiming,
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
