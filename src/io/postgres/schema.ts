import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  smallint,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";

/** The worker's own tables. Nothing here belongs to the host. */
export const watchdog = pgSchema("watchdog");

const instant = (name: string) => timestamp(name, { withTimezone: true });

/** One row: who sweeps, under which epoch, and what the fleet knows of the last sweep. */
export const leadership = watchdog.table(
  "leadership",
  {
    /** Always true, so that a second row cannot exist. */
    single: boolean("single").primaryKey().default(true),
    installation: uuid("installation").notNull().defaultRandom(),
    epoch: bigint("epoch", { mode: "number" }).notNull().default(0),
    holder: text("holder"),
    /** With the number of shards where there are several: `redis/4`. */
    leaseKind: text("lease_kind"),
    leaseExpiresAt: instant("lease_expires_at"),
    sweepTrigger: text("sweep_trigger"),
    sweepStartedAt: instant("sweep_started_at"),
    sweepFinishedAt: instant("sweep_finished_at"),
    progressedAt: instant("progressed_at"),
    lastReport: jsonb("last_report"),
    /** What the shared API asked for: a new leader keeps to it. */
    apiPausedUntil: instant("api_paused_until"),
    apiConcurrency: integer("api_concurrency"),
    /** Until then nobody sweeps, because a person said so; past or null: it is not paused. */
    pausedUntil: instant("paused_until"),
    pauseReason: text("pause_reason"),
    pausedBy: text("paused_by"),
  },
  (table) => [check("leadership_single", sql`${table.single}`)],
);

/**
 * What of the leadership row belongs to one shard: a row for each but the first, whose is the leadership row itself. All
 * of them are there from the beginning.
 */
export const shards = watchdog.table("shards", {
  shard: smallint("shard").primaryKey(),
  epoch: bigint("epoch", { mode: "number" }).notNull().default(0),
  holder: text("holder"),
  leaseExpiresAt: instant("lease_expires_at"),
  sweepTrigger: text("sweep_trigger"),
  sweepStartedAt: instant("sweep_started_at"),
  sweepFinishedAt: instant("sweep_finished_at"),
  progressedAt: instant("progressed_at"),
  lastReport: jsonb("last_report"),
  apiPausedUntil: instant("api_paused_until"),
  apiConcurrency: integer("api_concurrency"),
});

/** One row per pause and per early end of one: what people did to the worker, for whoever asks later. */
export const pauses = watchdog.table("pauses", {
  id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  at: instant("at").notNull(),
  /** `null`: a pause was ended. */
  until: instant("until"),
  reason: text("reason"),
  by: text("by").notNull(),
});

/** One row per worker that was seen lately: which replicas there are, and whether they are configured alike. */
export const workers = watchdog.table("workers", {
  holder: text("holder").primaryKey(),
  version: text("version").notNull(),
  /** Of the configuration, without secrets. */
  fingerprint: text("fingerprint").notNull(),
  leaseKind: text("lease_kind").notNull(),
  shards: smallint("shards").notNull().default(1),
  startedAt: instant("started_at").notNull(),
  seenAt: instant("seen_at").notNull(),
});

/** The journal: one row per terminal verdict, written by the statement that ended the run, and per sandbox taken over. */
export const verdicts = watchdog.table(
  "verdicts",
  {
    id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    runId: uuid("run_id").notNull(),
    automationId: uuid("automation_id"),
    userId: uuid("user_id"),
    orgId: uuid("org_id"),
    /** Epochs of different shards have nothing to do with each other. */
    shard: smallint("shard").notNull().default(0),
    epoch: bigint("epoch", { mode: "number" }).notNull(),
    holder: text("holder").notNull(),
    trigger: text("trigger").notNull(),
    decidedAt: instant("decided_at").notNull(),
    outcome: text("outcome").notNull(),
    /** `proof`, `presumption` or `host`; the last is no verdict of ours: the host ended the run and left its sandbox. */
    basis: text("basis").notNull(),
    reason: text("reason").notNull(),
    evidence: jsonb("evidence").notNull(),
    sandboxId: text("sandbox_id"),
    /** `none`, `pending`, `done` or `abandoned`. */
    cleanupState: text("cleanup_state").notNull(),
    cleanupNextAt: instant("cleanup_next_at"),
    /** When the sandbox is to be deleted, if not at once; attempts do not move it. */
    cleanupDueAt: instant("cleanup_due_at"),
    /** What we put into the host's `sandbox_cleanup_due_at`; any other value there is somebody else's. */
    cleanupStampAt: instant("cleanup_stamp_at"),
    /** `none`, `pending` or `done`. */
    firstRunState: text("first_run_state").notNull(),
    overrideReason: text("override_reason"),
    cleanupAttempts: integer("cleanup_attempts").notNull().default(0),
    cleanupError: text("cleanup_error"),
    /** When it was noticed that the run has another end by now: a late callback, or somebody's hand. */
    overturnedAt: instant("overturned_at"),
  },
  (table) => [
    index("verdicts_run_id").on(table.runId),
    index("verdicts_decided_at").on(table.decidedAt, table.id),
    index("verdicts_basis_decided_at").on(table.basis, table.decidedAt),
    index("verdicts_cleanup_pending")
      .on(table.cleanupNextAt)
      .where(sql`${table.cleanupState} = 'pending'`),
    // With deferred deletions many are pending at once, and each claim looks for others of its sandbox.
    index("verdicts_cleanup_sandbox")
      .on(table.sandboxId)
      .where(sql`${table.cleanupState} = 'pending'`),
    index("verdicts_first_run_pending")
      .on(table.automationId, table.id)
      .where(sql`${table.firstRunState} = 'pending'`),
  ],
);

/**
 * What is remembered of runs that stay RUNNING past their deadline; a verdict removes it. A row counts as long as its
 * run has the start, the sandbox and the command of which all this was said.
 */
export const suspicions = watchdog.table(
  "suspicions",
  {
    runId: uuid("run_id").primaryKey(),
    sandboxId: text("sandbox_id"),
    bashCommandId: text("bash_command_id"),
    /** The deadline before anybody deferred the run; where it had none, when it was first written down here. */
    firstDeadlineAt: instant("first_deadline_at").notNull(),
    /** When anything was last written here. */
    notedAt: instant("noted_at").notNull(),
    presumedTimes: integer("presumed_times").notNull().default(0),
    presumedReason: text("presumed_reason"),
    presumedLastAt: instant("presumed_last_at"),
    unknownTimes: integer("unknown_times").notNull().default(0),
    unknownSince: instant("unknown_since"),
    /** Why the last answer was inconclusive, in fixed vocabulary: who was asked for what, and what came. */
    unknownCause: text("unknown_cause"),
    errorTimes: integer("error_times").notNull().default(0),
    errorCause: text("error_cause"),
    /** Until then no sweep takes the run up. */
    errorRetryAt: instant("error_retry_at"),
    /** Since when the guard holds the verdict back. */
    heldSince: instant("held_since"),
    /** When the attempt began of which all this is said: a run that was started anew is another one. */
    beganAt: instant("began_at"),
    /** Our own next look at the run, while its deadline still is the shield. */
    lookAt: instant("look_at"),
    /** The deadline that we set, so that the host's own watchdog never meets the run; any other one is the host's. */
    shieldAt: instant("shield_at"),
  },
  (table) => [
    index("suspicions_presumed").on(table.runId).where(sql`${table.presumedTimes} > 0`),
    index("suspicions_look_at").on(table.lookAt, table.runId),
  ],
);
