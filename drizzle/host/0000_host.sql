-- The host's two tables, as its own migrations leave them: for development, the demo and the tests.
CREATE TABLE IF NOT EXISTS "automations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"user_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"name" varchar(500) NOT NULL,
	"trigger" json NOT NULL,
	"tarball_path" text NOT NULL,
	"setup_script_path" text,
	"entrypoint" text NOT NULL,
	"timeout" integer,
	"enabled" boolean DEFAULT true NOT NULL,
	"deleted_at" timestamp with time zone,
	"last_triggered_at" timestamp with time zone,
	"last_polled_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
	"updated_at" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
	"prompt" text,
	"model" varchar(64),
	"keep_alive" boolean,
	"telemetry_distinct_id" varchar(256),
	"preset_metadata" json
);
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "automation_runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"automation_id" uuid NOT NULL,
	"status" varchar(20) DEFAULT 'PENDING' NOT NULL,
	"error_detail" text,
	"created_at" timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
	"started_at" timestamp with time zone,
	"completed_at" timestamp with time zone,
	"conversation_id" varchar(255),
	"timeout_at" timestamp with time zone,
	"sandbox_id" varchar(255),
	"event_payload" json,
	"bash_command_id" varchar(64),
	"telemetry_distinct_id" varchar(256),
	"cost" double precision,
	"status_detail" json,
	CONSTRAINT "automation_runs_automation_id_fkey" FOREIGN KEY ("automation_id") REFERENCES "automations"("id") ON DELETE CASCADE
);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automations_user_id" ON "automations" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automations_org_id" ON "automations" USING btree ("org_id");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automations_enabled" ON "automations" USING btree ("enabled");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automations_deleted_at" ON "automations" USING btree ("deleted_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automations_last_polled_at" ON "automations" USING btree ("last_polled_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_automation_id" ON "automation_runs" USING btree ("automation_id");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_status" ON "automation_runs" USING btree ("status");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_timeout_at" ON "automation_runs" USING btree ("timeout_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_status_created_at" ON "automation_runs" USING btree ("status","created_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_status_timeout_at" ON "automation_runs" USING btree ("status","timeout_at");--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "ix_automation_runs_pending" ON "automation_runs" USING btree ("created_at") WHERE "status" = 'PENDING';
