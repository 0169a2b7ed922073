-- Of newer hosts (their migration 024). A table that the host's own migrations keep is left to them: they would find the
-- column there, and fail.
DO $$
BEGIN
	IF to_regclass('alembic_version') IS NULL THEN
		ALTER TABLE "automation_runs" ADD COLUMN IF NOT EXISTS "sandbox_cleanup_due_at" timestamp with time zone;
		CREATE INDEX IF NOT EXISTS "ix_automation_runs_sandbox_cleanup_due" ON "automation_runs" USING btree ("sandbox_cleanup_due_at") WHERE "sandbox_cleanup_due_at" IS NOT NULL;
	END IF;
END
$$;
