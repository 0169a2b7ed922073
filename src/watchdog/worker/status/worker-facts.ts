/** What the process knows about itself and the fleet, as it is handed to health, page, metrics and hosts. */
import type { HealthFacts, ShardHealth } from "../../../rules/health.ts";
import type { PastHold, PastVerdict, SweepReport, SweepSummary } from "../../../rules/report.ts";
import type { SeenWorker } from "../../fleet-ports.ts";
import type { LeaseKind, SharedApi } from "../../ports.ts";
import type { Backlog, LeadershipView } from "../../store-ports.ts";

export type Role = "sweeping" | "observing" | "standby" | "idle";

/** What the process knows, for `/health`: facts for the rules, and more for people. */
export interface WorkerFacts extends HealthFacts {
  /** When the facts were collected; wall time. */
  readonly at: Date;
  readonly role: Role;
  /** Postgres answers, and its tables cannot be used as they are. */
  readonly schemaProblem: boolean;
  readonly holder: string;
  readonly leaseKind: LeaseKind;
  /** Who holds the lease and until when, as far as the last attempt showed; wall time. */
  readonly leaseHolder: string | null;
  readonly leaseExpiresAt: Date | null;
  /** For how long its holder has been sweeping under it; `null` where that is not known. */
  readonly leaseHeldForMs: number | null;
  readonly nextSweepAt: Date;
  readonly ownLastSweep: SweepReport | null;
  readonly leadership: LeadershipView | null;
  /** `null` when the backend shares none between runs. */
  readonly api: SharedApi | null;
  /** As this process's last sweep found it when it began. */
  readonly backlog: (Backlog & { readonly countedAt: Date }) | null;
  /** As of now, those that were seen last first; `null` where they could not be read yet. */
  readonly replicas: readonly SeenWorker[] | null;
  /** This process's sweeps, oldest first, at most 60. */
  readonly recentSweeps: readonly SweepSummary[];
  /** This process's verdicts, newest first, at most 20. */
  readonly recentVerdicts: readonly PastVerdict[];
  /** Of this process's last sweep that held runs back, with at most 5 of them. */
  readonly lastHold: PastHold | null;
  /** In their order; left out where the runs are not divided. */
  readonly shards?: readonly ShardFacts[];
}

/** One shard, as its row told when it was last read. */
export interface ShardFacts extends ShardHealth {
  /** What this worker does about it. */
  readonly role: Role;
  /** Who began its newest sweep. */
  readonly leader: string | null;
}

export interface WorkerIdentity {
  readonly holder: string;
  readonly leaseKind: LeaseKind;
  /** Into how many the runs are divided; one when left out. */
  readonly shards?: number;
  readonly verifyTimeoutMs: number;
  readonly api: SharedApi | null;
  /** It only shows what it would do, and writes nothing. */
  readonly observes: boolean;
}
