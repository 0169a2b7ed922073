import { MOST_SHARDS } from "../../../src/rules/fleet/shard.ts";
import type { Clock, Fence, LeaseKind } from "../../../src/watchdog/ports.ts";

/** A row of `automation_runs` with what its automation adds. Times are Unix milliseconds. */
export interface MemoryRun {
  readonly id: string;
  readonly automationId: string;
  status: string;
  timeoutAtMs: number | null;
  sandboxId: string | null;
  bashCommandId: string | null;
  beganAtMs: number;
  readonly timeoutS: number | null;
  keepAlive: boolean;
  errorDetail: string | null;
  /** JSON text; `null` for SQL NULL. */
  statusDetail: string | null;
  completedAtMs: number | null;
  sandboxCleanupDueAtMs: number | null;
}

/** A row of the journal. */
export interface MemoryVerdict {
  readonly id: number;
  readonly runId: string;
  readonly automationId: string;
  readonly shard: number;
  readonly epoch: number;
  readonly holder: string;
  readonly trigger: string;
  readonly decidedAtMs: number;
  readonly outcome: string;
  readonly basis: string;
  readonly reason: string;
  readonly evidence: unknown;
  sandboxId: string | null;
  cleanupState: "none" | "pending" | "done" | "abandoned";
  cleanupAttempts: number;
  cleanupNextAtMs: number | null;
  cleanupDueAtMs: number | null;
  cleanupStampAtMs: number | null;
  cleanupError: string | null;
  firstRunState: "none" | "pending" | "done";
  readonly overrideReason: string | null;
  /** What was remembered of the run until then. */
  readonly suspicion?: MemorySuspicion | null;
  overturnedAtMs: number | null;
}

/** A row of `suspicions`. */
export interface MemorySuspicion {
  sandboxId: string | null;
  bashCommandId: string | null;
  beganAtMs: number;
  lookAtMs: number | null;
  shieldAtMs: number | null;
  firstDeadlineAtMs: number;
  notedAtMs: number;
  presumedTimes: number;
  presumedReason: string | null;
  presumedLastAtMs: number | null;
  unknownTimes: number;
  unknownSinceMs: number | null;
  unknownCause: string | null;
  errorTimes: number;
  errorCause: string | null;
  errorRetryAtMs: number | null;
  heldSinceMs: number | null;
}

/** What of the leadership row each shard has. */
export interface MemoryLead {
  epoch: number;
  holder: string | null;
  sweepStartedAtMs: number | null;
  sweepFinishedAtMs: number | null;
  progressedAtMs: number | null;
  lastReport: object | null;
  apiPausedUntilMs: number | null;
  apiConcurrency: number | null;
}

/** The leadership row. */
export interface MemoryLeadershipRow extends MemoryLead {
  leaseKind: LeaseKind | null;
  /** As noted with the kind of lease. */
  shardCount: number;
  pausedUntilMs: number | null;
  pauseReason: string | null;
  pausedBy: string | null;
}

/** A row of the journal of pauses. */
export interface MemoryPause {
  readonly untilMs: number | null;
  readonly reason: string | null;
  readonly by: string;
}

/** A row of `workers`. */
export interface MemoryWorker {
  readonly holder: string;
  readonly version: string;
  readonly fingerprint: string;
  readonly leaseKind: LeaseKind;
  readonly shards: number;
  readonly startedAtMs: number;
  readonly seenAtMs: number;
}

function nobodyLeads(): MemoryLead {
  return {
    epoch: 0,
    holder: null,
    sweepStartedAtMs: null,
    sweepFinishedAtMs: null,
    progressedAtMs: null,
    lastReport: null,
    apiPausedUntilMs: null,
    apiConcurrency: null,
  };
}

/** The tables that the in-memory stores share, with the clock's wall time as the database's. */
export class MemoryDatabase {
  readonly runs = new Map<string, MemoryRun>();
  /** `preset_metadata` as text, by the automation's id. */
  readonly presets = new Map<string, string>();
  readonly verdicts: MemoryVerdict[] = [];
  /** By the run's id. */
  readonly suspicions = new Map<string, MemorySuspicion>();
  readonly leadership: MemoryLeadershipRow = {
    ...nobodyLeads(),
    leaseKind: null,
    shardCount: 1,
    pausedUntilMs: null,
    pauseReason: null,
    pausedBy: null,
  };
  /** Of all shards but the first. */
  readonly shards: readonly MemoryLead[] = Array.from({ length: MOST_SHARDS - 1 }, nobodyLeads);
  readonly pauses: MemoryPause[] = [];
  /** By the holder. */
  readonly workers = new Map<string, MemoryWorker>();
  /** Runs and automations whose row somebody else is writing. */
  readonly locked = new Set<string>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.now().getTime();
  }

  /** As `to_char` prints it: microseconds, which a JavaScript Date does not have. */
  nowText(): string {
    return this.#clock.now().toISOString().replace("Z", "000+00:00");
  }

  /** A run that went past its deadline one second ago, unless told otherwise; ids sort in the order of adding. */
  add(run: Partial<MemoryRun> = {}): MemoryRun {
    const number = this.runs.size + 1;
    const added: MemoryRun = {
      id: `run-${String(number).padStart(5, "0")}`,
      automationId: `automation-${String(number).padStart(5, "0")}`,
      status: "RUNNING",
      timeoutAtMs: this.nowMs() - 1000,
      sandboxId: `sandbox-${number}`,
      bashCommandId: `command-${number}`,
      beganAtMs: this.nowMs() - 700_000,
      timeoutS: null,
      keepAlive: false,
      errorDetail: null,
      statusDetail: null,
      completedAtMs: null,
      sandboxCleanupDueAtMs: null,
      ...run,
    };
    this.runs.set(added.id, added);
    return added;
  }

  /** A verdict of an earlier sweep on a run of its own, with a clean-up that is due, unless told otherwise. */
  addVerdict(verdict: Partial<MemoryVerdict> = {}): MemoryVerdict {
    const errorDetail = "Timed out: Sandbox not available";
    const { automationId } = verdict;
    const owner = automationId === undefined ? {} : { automationId };
    const run = this.add({ status: "FAILED", errorDetail, ...owner });
    const added: MemoryVerdict = {
      id: this.verdicts.length + 1,
      runId: run.id,
      automationId: run.automationId,
      shard: 0,
      epoch: this.leadership.epoch,
      holder: "host-0/1/aa00",
      trigger: "cron",
      decidedAtMs: this.nowMs(),
      outcome: "FAILED",
      basis: "proof",
      reason: "exit_code=1",
      evidence: {},
      sandboxId: run.sandboxId,
      cleanupState: "pending",
      cleanupAttempts: 0,
      cleanupNextAtMs: this.nowMs(),
      cleanupDueAtMs: null,
      cleanupStampAtMs: null,
      cleanupError: null,
      firstRunState: "none",
      overrideReason: null,
      overturnedAtMs: null,
      ...verdict,
    };
    this.verdicts.push(added);
    return added;
  }

  /** What an earlier sweep remembers of a run as it is now: nothing, unless told otherwise. */
  suspect(runId: string, suspicion: Partial<MemorySuspicion> = {}): MemorySuspicion {
    const run = this.runs.get(runId);
    if (run === undefined) throw new Error(`there is no run ${runId}`);
    const added: MemorySuspicion = {
      sandboxId: run.sandboxId,
      bashCommandId: run.bashCommandId,
      beganAtMs: run.beganAtMs,
      lookAtMs: null,
      shieldAtMs: null,
      firstDeadlineAtMs: run.timeoutAtMs ?? this.nowMs(),
      notedAtMs: this.nowMs(),
      presumedTimes: 0,
      presumedReason: null,
      presumedLastAtMs: null,
      unknownTimes: 0,
      unknownSinceMs: null,
      unknownCause: null,
      errorTimes: 0,
      errorCause: null,
      errorRetryAtMs: null,
      heldSinceMs: null,
      ...suspicion,
    };
    this.suspicions.set(runId, added);
    return added;
  }

  /** A callback, a cancel or a dispatcher writes the row. */
  change(runId: string, changes: Partial<MemoryRun>): void {
    const row = this.runs.get(runId);
    if (row === undefined) throw new Error(`there is no run ${runId}`);
    Object.assign(row, changes);
  }

  lead(shard: number): MemoryLead {
    const lead = shard === 0 ? this.leadership : this.shards[shard - 1];
    if (lead === undefined) throw new Error(`there is no shard ${shard}`);
    return lead;
  }

  holds({ shard, epoch }: Pick<Fence, "shard" | "epoch">): boolean {
    return this.lead(shard).epoch === epoch;
  }

  /** Another worker takes an epoch. */
  takeEpoch(shard = 0): number {
    const lead = this.lead(shard);
    lead.epoch += 1;
    return lead.epoch;
  }
}
