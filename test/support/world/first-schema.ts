/** The worker's schema as its first migration made it, with what a worker of that time left in it. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type SeededRun, seedRun } from "../../fake-host/seed.ts";
import type { TestDatabase } from "../../services/postgres/database.ts";

export const FIRST = "0000_watchdog";
const FOLDER = join(import.meta.dirname, "..", "..", "..", "drizzle");

/** Every migration there is, in order. */
export async function migrationTags(): Promise<readonly string[]> {
  const files = await readdir(FOLDER);
  return files
    .filter((name) => name.endsWith(".sql"))
    .map((name) => basename(name, ".sql"))
    .sort();
}

/** @param database with the host's tables and without the worker's. */
export async function createFirstSchema({ sql }: TestDatabase): Promise<void> {
  await sql`CREATE SCHEMA watchdog`;
  await sql`
    CREATE TABLE watchdog.migrations (
      tag text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`;
  for (const statement of (await readFile(join(FOLDER, `${FIRST}.sql`), "utf8")).split(
    "--> statement-breakpoint",
  )) {
    await sql.unsafe(statement);
  }
  await sql`INSERT INTO watchdog.migrations (tag) VALUES (${FIRST})`;
}

/** A sweep that ended one run, and one run that is still overdue. */
export async function sweepWithFirstSchema({ sql }: TestDatabase): Promise<SeededRun> {
  const ended = await seedRun(sql, { status: "FAILED", errorDetail: "Timed out: x" });
  await sql`
    UPDATE watchdog.leadership SET epoch = 7, holder = 'host/1/ab12', lease_kind = 'redis',
      sweep_trigger = 'cron', sweep_started_at = now() - interval '1 min',
      sweep_finished_at = now() - interval '1 min', progressed_at = now() - interval '1 min',
      last_report = '{"status": "partial"}'`;
  await sql`
    INSERT INTO watchdog.verdicts (run_id, automation_id, user_id, org_id, epoch, holder, trigger,
      decided_at, outcome, basis, reason, evidence, sandbox_id, cleanup_state, cleanup_next_at,
      first_run_state)
    VALUES (${ended.id}, ${ended.automationId}, ${ended.userId}, ${ended.orgId}, 7, 'host/1/ab12',
      'cron', now(), 'FAILED', 'presumption', 'gone', '{}', ${ended.sandboxId}, 'pending', now(),
      'none')`;
  return seedRun(sql);
}
