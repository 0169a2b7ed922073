CREATE TABLE "watchdog"."pauses" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "watchdog"."pauses_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp with time zone NOT NULL,
	"until" timestamp with time zone,
	"reason" text,
	"by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "watchdog"."workers" (
	"holder" text PRIMARY KEY NOT NULL,
	"version" text NOT NULL,
	"fingerprint" text NOT NULL,
	"lease_kind" text NOT NULL,
	"started_at" timestamp with time zone NOT NULL,
	"seen_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "watchdog"."leadership" ADD COLUMN "paused_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "watchdog"."leadership" ADD COLUMN "pause_reason" text;--> statement-breakpoint
ALTER TABLE "watchdog"."leadership" ADD COLUMN "paused_by" text;--> statement-breakpoint
ALTER TABLE "watchdog"."suspicions" ADD COLUMN "unknown_cause" text;--> statement-breakpoint
ALTER TABLE "watchdog"."verdicts" ADD COLUMN "overturned_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "verdicts_decided_at" ON "watchdog"."verdicts" USING btree ("decided_at","id");