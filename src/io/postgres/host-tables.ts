import {
  boolean,
  integer,
  json,
  pgTable,
  text,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";

/**
 * The host's tables, as far as the worker uses them. They belong to the host: the worker never creates or alters them,
 * and a host with other names provides updatable views. Timestamps stay text, see schema.ts.
 */
const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "string" });

export const automationRuns = pgTable("automation_runs", {
  id: uuid("id").primaryKey(),
  automationId: uuid("automation_id").notNull(),
  status: varchar("status", { length: 20 }).notNull(),
  errorDetail: text("error_detail"),
  createdAt: instant("created_at").notNull(),
  startedAt: instant("started_at"),
  completedAt: instant("completed_at"),
  timeoutAt: instant("timeout_at"),
  sandboxId: varchar("sandbox_id", { length: 255 }),
  bashCommandId: varchar("bash_command_id", { length: 64 }),
  statusDetail: json("status_detail"),
  sandboxCleanupDueAt: instant("sandbox_cleanup_due_at"),
});

export const automations = pgTable("automations", {
  id: uuid("id").primaryKey(),
  userId: uuid("user_id").notNull(),
  orgId: uuid("org_id").notNull(),
  timeout: integer("timeout"),
  keepAlive: boolean("keep_alive"),
  presetMetadata: json("preset_metadata"),
  updatedAt: instant("updated_at").notNull(),
});

/** Columns that older hosts lack, or that a view may leave out. */
export interface HostColumns {
  readonly statusDetail: boolean;
  /** Also false where it cannot be written: it is of no use to us then. */
  readonly sandboxCleanupDueAt: boolean;
  readonly keepAlive: boolean;
  readonly presetMetadata: boolean;
  readonly updatedAt: boolean;
}
