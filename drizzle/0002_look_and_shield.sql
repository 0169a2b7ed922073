ALTER TABLE "watchdog"."suspicions" ADD COLUMN "began_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "watchdog"."suspicions" ADD COLUMN "look_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "watchdog"."suspicions" ADD COLUMN "shield_at" timestamp with time zone;--> statement-breakpoint
CREATE INDEX "suspicions_look_at" ON "watchdog"."suspicions" USING btree ("look_at","run_id");