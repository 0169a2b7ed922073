/** What a sweep from the lease to the report needs, is told, and comes to. */
import type { Trigger } from "../../rules/model.ts";
import type { RunOutcome, SweepReport } from "../../rules/report.ts";
import type { LeaseTiming } from "../../rules/timing.ts";
import type { CleanupSlots } from "../cleanup/after-verdicts.ts";
import type { StoreUnavailableError } from "../errors.ts";
import type { Backend, Clock, Lease, LeaseKind, Log, Random } from "../ports.ts";
import type { Backlog, Journal, Leadership, LeadershipView, RunStore } from "../store-ports.ts";
import type { SweepOptions } from "../sweep/model.ts";

export interface LeadDeps {
  readonly lease: Lease;
  readonly leadership: Leadership;
  readonly store: RunStore;
  readonly journal: Journal;
  readonly backend: Backend;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly watch: SweepWatch;
}

/** Who wants to know how a sweep goes on: health, a progress bar. Must not throw. */
export interface SweepWatch {
  onLeadership?(view: LeadershipView): void;
  /** The lease and an epoch are ours. */
  onTerm?(trustedUntilMs: () => number): void;
  onBegin?(begun: { readonly epoch: number | null; readonly backlog: Backlog }): void;
  onOutcome?(outcome: RunOutcome): void;
  /** The guard holds verdicts back, and why. */
  onHold?(reason: string): void;
  /** Another watchdog has ended so many runs that were suspected or held here. */
  onEndedElsewhere?(count: number): void;
  onProgress?(): void;
  /** After every read of runs: `null` when Postgres answered. */
  onStoreTry?(failure: StoreUnavailableError | null): void;
}

export interface LeadOptions {
  /** `host/pid/random`. */
  readonly holder: string;
  readonly lease: LeaseTiming;
  /** How long a sweep may go without a finished statement or question before it gives up the lease. */
  readonly progressTimeoutMs: number;
  readonly sweep: Omit<SweepOptions, "shieldMs" | "runIds" | "limit" | "overrideReason">;
  readonly journalRetentionMs: number;
  readonly cleanupSlots: CleanupSlots;
  /** How long clean-ups may go on after the last run; the rest waits for the next sweep. */
  readonly cleanupTailMs: number;
}

export interface SweepRequest {
  readonly trigger: Trigger;
  /** The distance of the schedule's ticks around now. */
  readonly intervalMs: number;
  readonly runIds: readonly string[] | null;
  readonly limit: number | null;
  /** Lets every confirmed presumption pass the guard; `null` leaves it in force. */
  readonly overrideReason: string | null;
}

export type LeadResult =
  | { readonly kind: "swept"; readonly report: SweepReport; readonly error: unknown }
  /** `expiresInMs` is `null` when the lease never expires by itself. */
  | {
      readonly kind: "lease-held";
      readonly holder: string | null;
      readonly expiresInMs: number | null;
    }
  | { readonly kind: "other-lease-kind"; readonly noted: LeaseKind }
  | { readonly kind: "already-swept" };
