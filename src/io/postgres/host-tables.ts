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
const instant = () => timestamp({ withTimezone: true, mode: "string" });

export const automationRuns = pgTable("automation_runs", {
  id: uuid().primaryKey(),
  automationId: uuid().notNull(),
  status: varchar({ length: 20 }).notNull(),
  errorDetail: text(),
  createdAt: instant().notNull(),
  startedAt: instant(),
  completedAt: instant(),
  timeoutAt: instant(),
  sandboxId: varchar({ length: 255 }),
  bashCommandId: varchar({ length: 64 }),
  statusDetail: json(),
});

export const automations = pgTable("automations", {
  id: uuid().primaryKey(),
  userId: uuid().notNull(),
  orgId: uuid().notNull(),
  timeout: integer(),
  keepAlive: boolean(),
  presetMetadata: json(),
  updatedAt: instant().notNull(),
});

/** Columns that older hosts lack, or that a view may leave out. */
export interface HostColumns {
  readonly statusDetail: boolean;
  readonly keepAlive: boolean;
  readonly presetMetadata: boolean;
  readonly updatedAt: boolean;
}
