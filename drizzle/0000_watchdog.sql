CREATE TABLE "watchdog"."leadership" (
	"single" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"installation" uuid DEFAULT gen_random_uuid() NOT NULL,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"holder" text,
	"lease_kind" text,
	"lease_expires_at" timestamp with time zone,
	"sweep_trigger" text,
	"sweep_started_at" timestamp with time zone,
	"sweep_finished_at" timestamp with time zone,
	"progressed_at" timestamp with time zone,
	"last_report" jsonb,
	CONSTRAINT "leadership_single" CHECK ("watchdog"."leadership"."single")
);
--> statement-breakpoint
CREATE TABLE "watchdog"."verdicts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "watchdog"."verdicts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"run_id" uuid NOT NULL,
	"automation_id" uuid,
	"user_id" uuid,
	"org_id" uuid,
	"epoch" bigint NOT NULL,
	"holder" text NOT NULL,
	"trigger" text NOT NULL,
	"decided_at" timestamp with time zone NOT NULL,
	"outcome" text NOT NULL,
	"basis" text NOT NULL,
	"reason" text NOT NULL,
	"evidence" jsonb NOT NULL,
	"sandbox_id" text,
	"cleanup_state" text NOT NULL,
	"cleanup_next_at" timestamp with time zone,
	"first_run_state" text NOT NULL,
	"override_reason" text,
	"cleanup_attempts" integer DEFAULT 0 NOT NULL,
	"cleanup_error" text
);
--> statement-breakpoint
CREATE INDEX "verdicts_run_id" ON "watchdog"."verdicts" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "verdicts_basis_decided_at" ON "watchdog"."verdicts" USING btree ("basis","decided_at");--> statement-breakpoint
CREATE INDEX "verdicts_cleanup_pending" ON "watchdog"."verdicts" USING btree ("cleanup_next_at") WHERE "watchdog"."verdicts"."cleanup_state" = 'pending';--> statement-breakpoint
CREATE INDEX "verdicts_first_run_pending" ON "watchdog"."verdicts" USING btree ("automation_id","id") WHERE "watchdog"."verdicts"."first_run_state" = 'pending';--> statement-breakpoint
INSERT INTO "watchdog"."leadership" DEFAULT VALUES;
