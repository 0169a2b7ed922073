/** What one pass over the stale runs needs. */
import type { CleanupDelays } from "../../rules/cleanup/cleanup-plan.ts";
import type { GuardPolicy } from "../../rules/guard.ts";
import type { Trigger, VerdictPolicy } from "../../rules/model.ts";
import type { RunOutcome } from "../../rules/report.ts";
import type { Backend, Clock, Fence, Log } from "../ports.ts";
import type { Horizon, RunStore } from "../store-ports.ts";

export interface SweepDeps {
  readonly store: RunStore;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Log;
  /** Called once per run, when it has ended. */
  readonly onOutcome: (outcome: RunOutcome) => void;
  /** Called instead for a run about which nobody was asked, because the shared API wants no questions. */
  readonly onSkipped: (outcome: RunOutcome) => void;
  /** Called when the guard starts to hold verdicts back, with its reason. */
  readonly onHold: (reason: string) => void;
  /** Called after each statement or question that came to an end: the sweep is alive. */
  readonly onProgress: () => void;
}

export interface SweepOptions extends CleanupDelays {
  readonly concurrency: number;
  readonly pageSize: number;
  readonly deferMs: number;
  /** How much longer than until our next look a run's deadline hides it from the host's own watchdog. */
  readonly shieldMs: number;
  readonly nullDeadlineAfterMs: number;
  readonly policy: VerdictPolicy;
  readonly guard: GuardPolicy;
  /** Only these runs; `null` for all. */
  readonly runIds: readonly string[] | null;
  /** At most this many runs; `null` for all. */
  readonly limit: number | null;
  /** A person's reason to let every confirmed presumption pass the guard; `null` leaves it in force. */
  readonly overrideReason: string | null;
}

/** The right to sweep, and the moment everything is compared with. */
export interface SweepTerm {
  readonly fence: Fence;
  readonly holder: string;
  readonly trigger: Trigger;
  readonly horizon: Horizon;
}
