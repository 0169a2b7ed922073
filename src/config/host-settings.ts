import type { HostSettings } from "../rules/doctor/fleet.ts";
import type { Env } from "./env/env-reader.ts";

/**
 * Settings of the host that mean nothing to the worker, and tell its operator something where both share an environment.
 * Anything but a number counts as unset.
 */
export function readHostSettings(env: Env): HostSettings {
  return {
    watchdogIntervalSeconds: numberIn(env["AUTOMATION_WATCHDOG_INTERVAL_SECONDS"]),
    failureThreshold: numberIn(env["AUTOMATION_FAILURE_DISABLE_THRESHOLD"]),
    consecutiveFailureThreshold: numberIn(env["AUTOMATION_CONSECUTIVE_FAILURE_DISABLE_THRESHOLD"]),
  };
}

function numberIn(text: string | undefined): string | null {
  const value = text?.trim() ?? "";
  return /^\d{1,12}$/.test(value) ? value : null;
}
