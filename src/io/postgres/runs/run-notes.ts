import { statement } from "../connection/statement.ts";
import { IS_PRESUMED_DEAD, perShard, type ShardFenced } from "../sql.ts";
import { IS_SAME, KEPT, kept } from "./kept-suspicion.ts";

/** What a sweep notes beside its verdicts. */

interface NoteErrorParams extends ShardFenced {
  readonly id: string;
  readonly cause: string;
  readonly retryInMs: number;
}

/** Reads the run and locks only what is remembered of it. */
export const NOTE_ERROR = perShard(({ fence }) =>
  statement<NoteErrorParams, object>(`
  WITH suspicion AS MATERIALIZED (
    SELECT run_id FROM watchdog.suspicions WHERE run_id = :id::uuid FOR UPDATE NOWAIT
  )
  INSERT INTO watchdog.suspicions AS s (
    run_id, sandbox_id, bash_command_id, began_at, first_deadline_at, noted_at,
    error_times, error_cause, error_retry_at)
  SELECT
    run.id AS run_id,
    run.sandbox_id AS sandbox_id,
    run.bash_command_id AS bash_command_id,
    coalesce(run.started_at, run.created_at) AS began_at,
    coalesce(run.timeout_at, now()) AS first_deadline_at,
    now() AS noted_at,
    1 AS error_times,
    :cause::text AS error_cause,
    now() + :retryInMs::float8 * interval '1 millisecond' AS error_retry_at
  FROM automation_runs AS run LEFT JOIN suspicion ON true
  WHERE run.id = :id::uuid AND run.status = 'RUNNING' AND ${fence}
  ON CONFLICT (run_id) DO UPDATE SET
    ${KEPT},
    error_times = CASE WHEN ${IS_SAME} THEN s.error_times + 1 ELSE excluded.error_times END,
    error_cause = excluded.error_cause,
    error_retry_at = excluded.error_retry_at,
    ${kept("unknown_cause", "look_at", "shield_at")}`),
);

export const DROP_SUSPICIONS = perShard(({ fence }) =>
  statement<ShardFenced, { readonly count: number }>(`
  WITH orphan AS MATERIALIZED (
    SELECT s.run_id
    FROM watchdog.suspicions AS s
    WHERE (SELECT run.status = 'RUNNING' FROM automation_runs AS run WHERE run.id = s.run_id) IS NOT TRUE
      AND ${fence}
    FOR UPDATE SKIP LOCKED
  ), forgotten AS (
    DELETE FROM watchdog.suspicions
    WHERE run_id IN (SELECT orphan.run_id FROM orphan)
    RETURNING run_id, (presumed_times > 0 OR held_since IS NOT NULL) AS was_suspected
  )
  -- Our own verdict takes what was suspected with it: what is left here was ended by somebody else.
  SELECT count(*) AS count
  FROM forgotten JOIN automation_runs AS run ON run.id = forgotten.run_id
  WHERE forgotten.was_suspected
    AND ${IS_PRESUMED_DEAD}
    AND NOT EXISTS (SELECT FROM watchdog.verdicts
      WHERE verdicts.run_id = forgotten.run_id AND verdicts.basis <> 'host')`),
);
