import type { GuardPolicy } from "../guard.ts";
import type { LeaseTiming } from "../timing.ts";
import { type Check, failure, ok, span, warning } from "./check.ts";

export interface SettingsFacts {
  /** Of the whole configuration; with one, the worker does not start. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** `null` when there are problems. */
  readonly inForce: SettingsInForce | null;
}

export interface SettingsInForce {
  readonly fingerprint: string;
  /** Whether nothing is ever written. */
  readonly observes: boolean;
  readonly lease: LeaseTiming;
  readonly deferMs: number;
  /** The shortest distance of two ticks. */
  readonly intervalMs: number;
  readonly guard: GuardPolicy;
}

/** Relations that the configuration itself insists on show up as its problems. */
export function checkSettings({ problems, warnings, inForce }: SettingsFacts): readonly Check[] {
  if (inForce === null) {
    return problems.map((problem) => failure("settings", problem));
  }
  return [
    ok("settings", `can be used, fingerprint ${inForce.fingerprint}`),
    ...warnings.map((text) => warning("settings", text)),
    ...(inForce.observes ? [OBSERVES] : []),
    checkLeaseTiming(inForce.lease),
    ...checkDeferral(inForce),
    checkGuard(inForce.guard),
  ];
}

/** So that nobody leaves it so by mistake. */
const OBSERVES = warning(
  "mode",
  "it observes: runs are judged, and nothing is written",
  "unset WATCHDOG_MODE when it is to act",
);

function checkLeaseTiming({ ttlMs, renewMs, marginMs }: LeaseTiming): Check {
  return ok(
    "lease timing",
    `lasts ${span(ttlMs)}, is renewed every ${span(renewMs)} and trusted for ${span(ttlMs - marginMs)}`,
  );
}

/** Where it does not hold, the configuration itself warns of it. */
function checkDeferral({ deferMs, intervalMs }: SettingsInForce): readonly Check[] {
  if (deferMs >= intervalMs) return [];
  const found = `a waiting run is due again after ${span(deferMs)}, ticks come every ${span(intervalMs)}`;
  return [ok("deferral", found)];
}

const SHORTEST_OUTAGE_MS = 3_600_000;

function checkGuard({
  confirmations,
  min,
  ratio,
  perHour,
  unverifiableAfterMs,
}: GuardPolicy): Check {
  const remedies: string[] = [];
  if (confirmations < 2) {
    remedies.push("set WATCHDOG_CONFIRMATIONS to 2: a single wrong answer ends a run now");
  }
  if (ratio >= 1) {
    remedies.push("set WATCHDOG_GUARD_RATIO below 1: every run may be presumed dead at once now");
  }
  if (unverifiableAfterMs < SHORTEST_OUTAGE_MS) {
    remedies.push(
      `set WATCHDOG_UNVERIFIABLE_AFTER to hours: an outage of ${span(unverifiableAfterMs)} ends runs now`,
    );
  }
  const found = `a presumption must be seen ${confirmations} ${confirmations === 1 ? "time" : "times"}; more than ${min} and ${Math.round(ratio * 100)} % are held; ${perHour} an hour pass; without an answer a run ends after ${span(unverifiableAfterMs)}`;
  return remedies.length === 0 ? ok("guard", found) : warning("guard", found, ...remedies);
}
