CREATE TABLE "watchdog"."shards" (
	"shard" smallint PRIMARY KEY NOT NULL,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"holder" text,
	"lease_expires_at" timestamp with time zone,
	"sweep_trigger" text,
	"sweep_started_at" timestamp with time zone,
	"sweep_finished_at" timestamp with time zone,
	"progressed_at" timestamp with time zone,
	"last_report" jsonb,
	"api_paused_until" timestamp with time zone,
	"api_concurrency" integer
);
--> statement-breakpoint
ALTER TABLE "watchdog"."verdicts" ADD COLUMN "shard" smallint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "watchdog"."workers" ADD COLUMN "shards" smallint DEFAULT 1 NOT NULL;--> statement-breakpoint
INSERT INTO "watchdog"."shards" ("shard") SELECT generate_series(1, 63);
