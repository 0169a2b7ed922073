CREATE TABLE "watchdog"."suspicions" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"sandbox_id" text,
	"bash_command_id" text,
	"first_deadline_at" timestamp with time zone NOT NULL,
	"noted_at" timestamp with time zone NOT NULL,
	"presumed_times" integer DEFAULT 0 NOT NULL,
	"presumed_reason" text,
	"presumed_last_at" timestamp with time zone,
	"unknown_times" integer DEFAULT 0 NOT NULL,
	"unknown_since" timestamp with time zone,
	"error_times" integer DEFAULT 0 NOT NULL,
	"error_cause" text,
	"error_retry_at" timestamp with time zone,
	"held_since" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "watchdog"."leadership" ADD COLUMN "api_paused_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "watchdog"."leadership" ADD COLUMN "api_concurrency" integer;--> statement-breakpoint
CREATE INDEX "suspicions_presumed" ON "watchdog"."suspicions" USING btree ("run_id") WHERE "watchdog"."suspicions"."presumed_times" > 0;