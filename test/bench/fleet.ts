/** Many rows at once, made by the database itself. */
import type { Sql } from "postgres";

export interface FleetSeed {
  /** Due by now, one microsecond after the other. */
  readonly stale: number;
  /** Ended, and of no interest to anybody. */
  readonly ended?: number;
  readonly tenants?: number;
  /** Nothing is deleted after their verdicts: only verifying is measured. */
  readonly keepSandboxes?: boolean;
}

const TENANTS = 10;

/** Takes the place of what was there. */
export async function seedFleet(sql: Sql, seed: FleetSeed): Promise<void> {
  const { stale, ended = 0, tenants = TENANTS, keepSandboxes = false } = seed;
  await sql`TRUNCATE automations, automation_runs, watchdog.verdicts, watchdog.suspicions`;
  await sql`
    INSERT INTO automations
      (id, user_id, org_id, name, trigger, tarball_path, entrypoint, keep_alive)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'automation ' || i,
      '{"type":"cron","schedule":"0 * * * *"}'::json, 'automations/tarball', 'python main.py',
      ${keepSandboxes}
    FROM generate_series(1, ${tenants}::int) AS i`;
  await insertRuns(sql, "COMPLETED", ended);
  await insertRuns(sql, "RUNNING", stale);
  await sql`VACUUM (ANALYZE) automation_runs`;
}

/** More of them, once those that were there have ended; the journal begins anew. */
export async function addStaleRuns(sql: Sql, count: number): Promise<void> {
  await sql`TRUNCATE watchdog.verdicts, watchdog.suspicions`;
  await insertRuns(sql, "RUNNING", count);
  await sql`VACUUM (ANALYZE) automation_runs`;
}

/** Tenants take turns, as runs that were started by schedules do. */
async function insertRuns(sql: Sql, status: string, count: number): Promise<void> {
  if (count === 0) return;
  await sql`
    INSERT INTO automation_runs
      (id, automation_id, status, created_at, started_at, timeout_at, completed_at, sandbox_id, bash_command_id)
    SELECT gen_random_uuid(), ids[1 + i % cardinality(ids)], ${status},
      now() - interval '15 minutes', now() - interval '15 minutes',
      now() - interval '1 minute' - (${count}::int - i) * interval '1 microsecond',
      CASE WHEN ${status} = 'RUNNING' THEN NULL ELSE now() END,
      left(md5(i || 'sandbox'), 22), md5(i || 'command')
    FROM generate_series(1, ${count}::int) AS i,
      (SELECT array_agg(id) AS ids FROM automations) AS owners`;
}

/** From the beginning of the last full sweep to its last verdict, by the database's clock. */
export async function verdictsTookMs(sql: Sql): Promise<number> {
  const [row] = await sql<{ readonly ms: number | null }[]>`
    SELECT extract(epoch FROM max(v.decided_at) - l.sweep_started_at)::float8 * 1000 AS ms
    FROM watchdog.verdicts v, watchdog.leadership l GROUP BY l.sweep_started_at`;
  return row?.ms ?? Number.NaN;
}
