ALTER TABLE "watchdog"."verdicts" ADD COLUMN "cleanup_due_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "watchdog"."verdicts" ADD COLUMN "cleanup_stamp_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "verdicts_cleanup_sandbox" ON "watchdog"."verdicts" USING btree ("sandbox_id") WHERE "watchdog"."verdicts"."cleanup_state" = 'pending';