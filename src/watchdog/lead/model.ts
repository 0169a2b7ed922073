/** What a sweep from the lease to the report needs, and comes to. */
import type { Pause } from "../../rules/fleet/pause.ts";
import type { LeaseNote } from "../../rules/fleet/shard.ts";
import type { SweepReport } from "../../rules/report.ts";
import type { LeaseTiming } from "../../rules/timing.ts";
import type { CleanupSlots } from "../cleanup/after-verdicts.ts";
import type { SharedSlots } from "../concurrency/shared-slots.ts";
import type { Fleet } from "../fleet-ports.ts";
import type { WorkPorts } from "../port-calls.ts";
import type { Clock, Lease, LeaseKind, Log, Random, Tracing } from "../ports.ts";
import type { Leadership } from "../store-ports.ts";
import type { SweepOptions, SweepWatch } from "../sweep/model.ts";
import type { LeaseHeld } from "./acquire.ts";

export interface LeadDeps extends WorkPorts {
  readonly lease: Lease;
  readonly leadership: Leadership;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly watch: SweepWatch;
  readonly tracing?: Tracing;
  /** What the sweeps of this process share; left out where there is but one at a time. */
  readonly slots?: SharedSlots;
}

export interface LeadOptions {
  /** `host/pid/random`. */
  readonly holder: string;
  /** Into how many the fleet divides the runs. */
  readonly shards: number;
  readonly lease: LeaseTiming;
  /** How long a sweep may go without a finished statement or question before it gives up the lease. */
  readonly progressTimeoutMs: number;
  readonly sweep: SweepOptions;
  readonly journalRetentionMs: number;
  readonly cleanupSlots: CleanupSlots;
  /** How long clean-ups may go on after the last run; the rest waits for the next sweep. */
  readonly cleanupTailMs: number;
}

export interface Swept {
  readonly kind: "swept";
  readonly report: SweepReport;
  readonly error: unknown;
}

/** `heldForMs`: since its holder began the sweep under way; `null` where the fleet's row tells of none. */
export type HeldElsewhere = LeaseHeld & { readonly heldForMs: number | null };

export type LeadResult =
  | Swept
  | HeldElsewhere
  /** `null`: nothing is noted yet, and only who leads the first shard notes anything. */
  | { readonly kind: "other-lease-kind"; readonly noted: LeaseNote<LeaseKind> | null }
  | { readonly kind: "paused"; readonly pause: Pause }
  | { readonly kind: "already-swept" };
