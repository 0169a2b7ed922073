import { holderOf } from "../../../rules/lease-key.ts";
import type {
  HeldRun,
  LastSweep,
  PendingCleanups,
  ShardLead,
} from "../../../rules/status/fleet-status.ts";
import { StoreSchemaError } from "../../../watchdog/errors.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { IS_ABOUT_THIS } from "../runs/run-conditions.ts";
import { toMillis } from "../sql.ts";

export interface FleetDetails {
  readonly lastSweep: LastSweep;
  readonly held: readonly HeldRun[];
  readonly cleanups: PendingCleanups;
}

/**
 * What only people ask for. Needs SELECT on the tables, and nothing else.
 *
 * @param heldLimit how many held runs are named.
 * @throws StoreSchemaError where the worker's own tables are not, or may not be read; StoreUnavailableError.
 */
export async function readFleetDetails(
  database: Database,
  heldLimit: number,
): Promise<FleetDetails> {
  if (!(await database.remembers())) throw new StoreSchemaError(NOTHING_TO_READ);
  const [sweep] = await database.query("reading the last sweep", LAST_SWEEP, {});
  const held = await database.scan("reading held runs", HELD, { limit: heldLimit });
  const [cleanups] = await database.query("counting clean-ups", CLEANUPS, {});
  return {
    lastSweep: {
      sinceStartMs: toMillis(sweep?.sinceStartMs ?? null),
      sinceFinishMs: toMillis(sweep?.sinceFinishMs ?? null),
      status: sweep?.status ?? null,
      counts: sweep?.counts ?? null,
    },
    held: held.map(({ heldMs, ...run }) => ({ ...run, heldMs: toMillis(heldMs) ?? 0 })),
    cleanups: { pending: cleanups?.pending ?? 0, overdueMs: toMillis(cleanups?.overdueMs ?? null) },
  };
}

/** Of the first `count` shards, in their order. */
export async function readShards(database: Database, count: number): Promise<readonly ShardLead[]> {
  const rows = await database.query("reading who leads the shards", SHARDS, { count });
  return rows.map(({ shard, holder, sinceFinishMs, sinceProgressMs }) => ({
    shard,
    holder: holder === null ? null : holderOf(holder),
    sinceFinishMs: toMillis(sinceFinishMs),
    sinceProgressMs: toMillis(sinceProgressMs),
  }));
}

const NOTHING_TO_READ =
  "the worker's own tables are missing or cannot be read: run `run-watchdog migrate`, or grant USAGE on schema watchdog and SELECT on its tables";

const LAST_SWEEP = statement<Record<never, never>, LastSweep>(`
  SELECT extract(epoch FROM now() - sweep_started_at) * 1000 AS "sinceStartMs",
    extract(epoch FROM now() - sweep_finished_at) * 1000 AS "sinceFinishMs",
    last_report ->> 'status' AS status,
    last_report -> 'counts' AS counts
  FROM watchdog.leadership`);

const SHARDS = statement<{ readonly count: number }, ShardLead>(`
  SELECT shard, holder,
    extract(epoch FROM now() - sweep_finished_at) * 1000 AS "sinceFinishMs",
    extract(epoch FROM now() - progressed_at) * 1000 AS "sinceProgressMs"
  FROM (
    SELECT 0 AS shard, holder, sweep_finished_at, progressed_at FROM watchdog.leadership
    UNION ALL
    SELECT shard, holder, sweep_finished_at, progressed_at FROM watchdog.shards
  ) AS leads
  WHERE shard < :count::int
  ORDER BY shard`);

const HELD = statement<{ readonly limit: number }, HeldRun>(`
  SELECT s.run_id AS "runId",
    extract(epoch FROM now() - s.held_since) * 1000 AS "heldMs",
    s.presumed_reason AS reason
  FROM watchdog.suspicions AS s
  JOIN automation_runs AS run ON run.id = s.run_id AND run.status = 'RUNNING' AND ${IS_ABOUT_THIS}
  WHERE s.held_since IS NOT NULL
  ORDER BY s.held_since, s.run_id
  LIMIT :limit::bigint`);

const CLEANUPS = statement<Record<never, never>, PendingCleanups>(`
  SELECT count(*) AS pending,
    extract(epoch FROM now() - min(due_at) FILTER (WHERE due_at < now())) * 1000 AS "overdueMs"
  FROM (SELECT coalesce(cleanup_due_at, decided_at) AS due_at
        FROM watchdog.verdicts WHERE cleanup_state = 'pending') AS pending`);
