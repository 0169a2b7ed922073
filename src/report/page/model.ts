/** What the status page shows. */
import type { HealthFacts, ShardHealth } from "../../rules/health.ts";
import type { PastHold, PastVerdict, SweepSummary } from "../../rules/report.ts";

/** Facts that the process has in memory, without addresses: the page goes to whoever asks for it. */
export interface PageFacts extends HealthFacts {
  /** When the facts were collected; wall time. */
  readonly at: Date;
  readonly role: "sweeping" | "observing" | "standby" | "idle";
  readonly holder: string;
  readonly leaseKind: string;
  /** `null` when nobody holds it, as far as this process knows. */
  readonly leaseHolder: string | null;
  readonly leaseExpiresAt: Date | null;
  /** For how long its holder has been sweeping under it; `null` where that is not known. */
  readonly leaseHeldForMs: number | null;
  readonly nextSweepAt: Date;
  /** In their order; left out where the runs are not divided. */
  readonly shards?: readonly LedShard[];
  /** The workers of the installation, seen last first; `null` when they are not known. */
  readonly replicas: readonly Replica[] | null;
  /** `null` before the first answer of Postgres. */
  readonly leadership: {
    readonly epoch: number;
    readonly holder: string | null;
    readonly sweepStartedAt: string | null;
    readonly sweepFinishedAt: string | null;
    readonly lastStatus: string | null;
  } | null;
  /** This process's sweeps, oldest first. */
  readonly recentSweeps: readonly SweepSummary[];
  /** This process's verdicts, newest first. */
  readonly recentVerdicts: readonly PastVerdict[];
  /** Of this process's last sweep that held runs back. */
  readonly lastHold: PastHold | null;
  /** `null` when the backend shares none between runs. */
  readonly api: {
    readonly breaker: "closed" | "half-open" | "open";
    readonly blockedReason: string | null;
    readonly throttle: { readonly pausedForMs: number; readonly concurrency: number | null };
  } | null;
}

export interface LedShard extends ShardHealth {
  /** What this process does about it. */
  readonly role: PageFacts["role"];
  /** Who began its newest sweep; `null` when that one has stopped, or is not known. */
  readonly leader: string | null;
}

export interface Replica {
  readonly holder: string;
  readonly version: string;
  /** Of its configuration. */
  readonly fingerprint: string;
  readonly upMs: number;
  readonly seenAgoMs: number;
}

export interface PageBuild {
  readonly version: string;
  readonly node: string;
  /** Of the configuration, to compare replicas. */
  readonly fingerprint: string;
}
