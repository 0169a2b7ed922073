import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";

/** The worker's own tables. Nothing here belongs to the host. */
export const watchdog = pgSchema("watchdog");

/** Timestamps stay text on their way through JavaScript: a Date would drop the microseconds. */
const instant = () => timestamp({ withTimezone: true, mode: "string" });

/** One row: who sweeps, under which epoch, and what the fleet knows of the last sweep. */
export const leadership = watchdog.table(
  "leadership",
  {
    /** Always true, so that a second row cannot exist. */
    single: boolean().primaryKey().default(true),
    installation: uuid().notNull().defaultRandom(),
    epoch: bigint({ mode: "number" }).notNull().default(0),
    holder: text(),
    leaseKind: text(),
    leaseExpiresAt: instant(),
    sweepTrigger: text(),
    sweepStartedAt: instant(),
    sweepFinishedAt: instant(),
    progressedAt: instant(),
    lastReport: jsonb(),
  },
  (table) => [check("leadership_single", sql`${table.single}`)],
);

/** What a verdict is born with; the rest of a journal row comes later. */
export const verdictEntry = {
  runId: uuid().notNull(),
  automationId: uuid(),
  userId: uuid(),
  orgId: uuid(),
  epoch: bigint({ mode: "number" }).notNull(),
  holder: text().notNull(),
  trigger: text().notNull(),
  decidedAt: instant().notNull(),
  outcome: text().notNull(),
  basis: text().notNull(),
  reason: text().notNull(),
  evidence: jsonb().notNull(),
  sandboxId: text(),
  cleanupState: text({ enum: ["none", "pending", "done", "abandoned"] }).notNull(),
  cleanupNextAt: instant(),
  firstRunState: text({ enum: ["none", "pending", "done"] }).notNull(),
};

/** The journal: one row per terminal verdict, written by the statement that ended the run. */
export const verdicts = watchdog.table(
  "verdicts",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    ...verdictEntry,
    overrideReason: text(),
    cleanupAttempts: integer().notNull().default(0),
    cleanupError: text(),
  },
  (table) => [
    index("verdicts_run_id").on(table.runId),
    index("verdicts_basis_decided_at").on(table.basis, table.decidedAt),
    index("verdicts_cleanup_pending")
      .on(table.cleanupNextAt)
      .where(sql`${table.cleanupState} = 'pending'`),
    index("verdicts_first_run_pending")
      .on(table.automationId, table.id)
      .where(sql`${table.firstRunState} = 'pending'`),
  ],
);
