/** Every metric there is: its name, what it says, and its labels. Base units; each label has few values. */

export interface Definition {
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface CounterDefinition extends Definition {
  /** Values of the only label that are there from the start, at 0: an increase from nothing is not seen. */
  readonly from?: readonly string[];
}

export interface HistogramDefinition extends Definition {
  /** Upper limits in seconds. */
  readonly buckets: readonly number[];
}

const CALL_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export const COUNTERS = {
  watchdog_sweeps_total: {
    help: "Sweeps of this worker, by how they ended",
    labels: ["result"],
    from: ["ok", "partial", "held", "interrupted", "error"],
  },
  watchdog_runs_total: {
    help: "Runs that this worker's sweeps took up, by what became of them and on what it rests",
    labels: ["action", "basis"],
  },
  watchdog_cleanups_total: {
    help: "Sandboxes that this worker deleted, or gave up after a day",
    labels: ["result"],
    from: ["done", "abandoned"],
  },
  watchdog_verdicts_overturned_total: {
    help: "Presumptions that turned out wrong: the run has another end by now",
  },
  watchdog_shield_violations_total: {
    help: "Runs suspected or held here that another watchdog has ended as timed out",
  },
  watchdog_backend_calls_total: {
    help: "Calls to the backend that were sent, by who was asked for what and what came",
    labels: ["source", "operation", "result"],
  },
} as const satisfies Readonly<Record<string, CounterDefinition>>;

export const HISTOGRAMS = {
  watchdog_sweep_duration_seconds: {
    help: "How long sweeps of this worker took",
    buckets: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900],
  },
  watchdog_detection_lag_seconds: {
    help: "From the deadline that a run had before anybody deferred it to the verdict that ended it",
    buckets: [15, 30, 60, 120, 300, 900, 3600, 21_600, 86_400, 172_800],
  },
  watchdog_verify_duration_seconds: {
    help: "How long it took to verify a run, with the wait for a slot",
    buckets: CALL_SECONDS,
  },
  watchdog_apply_duration_seconds: {
    help: "How long the statement took that ends a run",
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15],
  },
  watchdog_backend_call_duration_seconds: {
    help: "How long calls to the backend took, by who was asked for what",
    labels: ["source", "operation"],
    buckets: CALL_SECONDS,
  },
} as const satisfies Readonly<Record<string, HistogramDefinition>>;

export const GAUGES = {
  watchdog_build_info: {
    help: "1, with the version, Node.js and the fingerprint of the configuration without secrets",
    labels: ["version", "node", "configuration"],
  },
  watchdog_health: {
    help: "1 for the status that /health gives",
    labels: ["status"],
  },
  watchdog_role: {
    help: "1 for what this worker does at the moment: sweeping while it sweeps any shard",
    labels: ["role"],
  },
  watchdog_nobody_sweeps: {
    help: "1 when nobody in the fleet has swept any shard for three ticks of the schedule",
  },
  watchdog_paused: {
    help: "1 while a person keeps all workers from sweeping",
  },
  watchdog_pause_until_timestamp_seconds: {
    help: "Until when, as Unix time by the database's clock; 0 when nobody does",
  },
  watchdog_last_sweep_age_seconds: {
    help: "Since somebody in the fleet last finished a sweep or moved on in one, of any shard",
  },
  watchdog_shards: {
    help: "Into how many shards this worker divides the runs",
  },
  watchdog_shards_led: {
    help: "How many of them this worker sweeps at the moment",
  },
  watchdog_shards_neglected: {
    help: "How many of them nobody has swept for three ticks of the schedule; only with several",
  },
  watchdog_shard_last_sweep_age_seconds: {
    help: "Since somebody last finished a sweep of this shard or moved on in one; only with several",
    labels: ["shard"],
  },
  watchdog_epoch: {
    help: "The number of the fleet's newest sweep; with several shards, of shard 0's",
  },
  watchdog_postgres_up: {
    help: "1 when Postgres could be used at the last try",
  },
  watchdog_schema_usable: {
    help: "0 when Postgres answers and tables or privileges are missing",
  },
  watchdog_lease_store_up: {
    help: "1 when the lease store could be used at the last try",
  },
  watchdog_lease_endless: {
    help: "1 when the lease is held by a key without expiry, which blocks every worker",
  },
  watchdog_waiting_runs: {
    help: "Runs of the whole fleet that were looked at and stay RUNNING, by what is known of them",
    labels: ["state"],
  },
  watchdog_unanswered_runs: {
    help: "Those without a usable answer, by its cause; at most 20 causes and the rest as other",
    labels: ["cause"],
  },
  watchdog_overdue_runs: {
    help: "RUNNING past the deadline that they had before anybody deferred them",
  },
  watchdog_oldest_overdue_seconds: {
    help: "How long the oldest of those is; 0 without one",
  },
  watchdog_hard_deadline_soon_runs: {
    help: "RUNNING, and the hard deadline comes within an hour",
  },
  watchdog_silent_runs: {
    help: "RUNNING without a usable answer from the backend for more than an hour",
  },
  watchdog_pending_runs: {
    help: "PENDING for more than a minute: nobody picks them up",
  },
  watchdog_oldest_pending_seconds: {
    help: "Since the oldest PENDING run was created; 0 without one",
  },
  watchdog_pending_cleanups: {
    help: "Deletions of sandboxes that are still to be made",
  },
  watchdog_oldest_cleanup_seconds: {
    help: "How long the oldest of those is past the time it was first due; 0 without one",
  },
  watchdog_fleet_seen_age_seconds: {
    help: "Since the figures of the whole fleet were read from the database",
  },
  watchdog_clock_skew_seconds: {
    help: "The other side's clock against this worker's, at least; positive when it is ahead",
    labels: ["peer"],
  },
  watchdog_breaker: {
    help: "1 for the state of the circuit breaker before the shared API",
    labels: ["state"],
  },
  watchdog_api_paused_seconds: {
    help: "For how long the shared API wants no calls",
  },
  watchdog_pool_connections: {
    help: "Places in the pool of connections to Postgres",
    labels: ["state"],
  },
  watchdog_pool_waiting_calls: {
    help: "Statements that wait for a place in the pool",
  },
} as const satisfies Readonly<Record<string, Definition>>;

export type CounterName = keyof typeof COUNTERS;
export type HistogramName = keyof typeof HISTOGRAMS;
export type GaugeName = keyof typeof GAUGES;
