/** What the demo asks its database. */
import type { Sql } from "postgres";

export interface LeadershipRow {
  readonly epoch: number;
  /** `host/pid/random` of the holder, then its token. */
  readonly holder: string;
  readonly startedAtMs: number;
}

export interface GroupCount {
  readonly group: string;
  readonly status: string;
  readonly count: number;
}

export interface VerdictCounts {
  readonly completed: number;
  readonly failedProven: number;
  readonly failedPresumed: number;
  /** Presumed, and let pass by a person. */
  readonly failedOverridden: number;
}

export class DemoDatabase {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  async leadership(): Promise<LeadershipRow | null> {
    const [row] = await this.#sql<LeadershipRow[]>`
      SELECT epoch::int AS epoch, coalesce(holder, '') AS holder,
             coalesce(extract(epoch FROM sweep_started_at) * 1000, 0)::float8 AS "startedAtMs"
      FROM watchdog.leadership`;
    return row ?? null;
  }

  /** The database's time, Unix milliseconds. */
  async now(): Promise<number> {
    const [row] = await this.#sql<{ readonly nowMs: number }[]>`
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "nowMs"`;
    return row?.nowMs ?? 0;
  }

  /** By id of the run. */
  async statuses(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#sql<{ readonly id: string; readonly status: string }[]>`
      SELECT id, status FROM automation_runs`;
    return new Map(rows.map(({ id, status }) => [id, status]));
  }

  /** The automations are named after the groups. */
  async groups(): Promise<readonly GroupCount[]> {
    return await this.#sql<GroupCount[]>`
      SELECT a.name AS group, r.status, count(*)::int AS count
      FROM automation_runs r JOIN automations a ON a.id = r.automation_id
      GROUP BY a.name, r.status`;
  }

  async verdicts(): Promise<VerdictCounts> {
    const [row] = await this.#sql<VerdictCounts[]>`
      SELECT count(*) FILTER (WHERE outcome = 'COMPLETED')::int AS completed,
             count(*) FILTER (WHERE outcome = 'FAILED' AND basis = 'proof')::int AS "failedProven",
             count(*) FILTER (WHERE basis = 'presumption' AND override_reason IS NULL)::int AS "failedPresumed",
             count(*) FILTER (WHERE override_reason IS NOT NULL)::int AS "failedOverridden"
      FROM watchdog.verdicts`;
    return row ?? { completed: 0, failedProven: 0, failedPresumed: 0, failedOverridden: 0 };
  }

  /** What a sweep still has to do after its verdicts: deletions that need not wait, first outcomes. */
  async pendingAfterVerdicts(): Promise<number> {
    const [row] = await this.#sql<{ readonly count: number }[]>`
      SELECT count(*)::int AS count FROM watchdog.verdicts
      WHERE (basis = 'proof' AND cleanup_state = 'pending') OR first_run_state = 'pending'`;
    return row?.count ?? 0;
  }
}
