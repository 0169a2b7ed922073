import { statement } from "../connection/statement.ts";
import { perShard, type ShardFenced } from "../sql.ts";
import { IS_SAME, KEPT, kept } from "./kept-suspicion.ts";
import { DEADLINE, HORIZON, IS_SHIELDED, type QueryParams } from "./run-conditions.ts";

interface DeferSkippedParams extends QueryParams, ShardFenced {
  /** As Postgres reads an array. */
  readonly ids: string;
  readonly deferMs: number;
  readonly shieldMs: number;
  /** A JSON object: why, by run id. */
  readonly causes: string;
}

const DUE_AT = `coalesce(
  (SELECT s.look_at FROM watchdog.suspicions AS s WHERE s.run_id = run.id AND ${IS_SHIELDED}),
  ${DEADLINE})`;

/**
 * Puts off those of the given runs that are still stale, in their order. Whoever is writing one of them keeps it to
 * himself; where somebody notes something on one, all are left alone.
 */
export const DEFER_SKIPPED = perShard(({ fence }) =>
  statement<DeferSkippedParams, object>(`
  WITH target AS MATERIALIZED (
    SELECT run.id, ${DEADLINE} AS first_deadline_at, ${DUE_AT} AS due_at
    FROM automation_runs AS run
    WHERE run.id = ANY (:ids::text::uuid[])
      AND run.status = 'RUNNING'
      AND (${DUE_AT} < ${HORIZON} OR :includeSuspected::boolean
        AND EXISTS (SELECT FROM watchdog.suspicions AS s WHERE s.run_id = run.id))
      AND ${fence}
    FOR NO KEY UPDATE SKIP LOCKED
  ), suspicion AS MATERIALIZED (
    SELECT run_id, shield_at FROM watchdog.suspicions
    WHERE run_id = ANY (:ids::text::uuid[])
    FOR UPDATE NOWAIT
  ), in_order AS (
    -- From the horizon on, so that they come before all that the sweep has asked about.
    SELECT id, first_deadline_at,
      ${HORIZON} + :deferMs::float8 * interval '1 millisecond'
        + row_number() OVER (ORDER BY due_at, id) * interval '1 microsecond' AS look_at
    FROM target
  ), deferred AS (
    UPDATE automation_runs AS run
    SET timeout_at = greatest(run.timeout_at,
      in_order.look_at + :shieldMs::float8 * interval '1 millisecond')
    FROM in_order LEFT JOIN suspicion ON suspicion.run_id = in_order.id
    WHERE run.id = in_order.id
    RETURNING run.id, run.sandbox_id, run.bash_command_id,
      coalesce(run.started_at, run.created_at) AS began_at, run.timeout_at,
      in_order.first_deadline_at, in_order.look_at,
      -- As in a deferral of one run.
      run.timeout_at IN (in_order.look_at + :shieldMs::float8 * interval '1 millisecond',
        suspicion.shield_at) AS is_ours
  )
  INSERT INTO watchdog.suspicions AS s (
    run_id, sandbox_id, bash_command_id, began_at, first_deadline_at, noted_at,
    unknown_cause, look_at, shield_at)
  SELECT
    id AS run_id,
    sandbox_id AS sandbox_id,
    bash_command_id AS bash_command_id,
    began_at AS began_at,
    first_deadline_at AS first_deadline_at,
    now() AS noted_at,
    :causes::text::json ->> id::text AS unknown_cause,
    CASE WHEN is_ours THEN look_at END AS look_at,
    CASE WHEN is_ours THEN timeout_at END AS shield_at
  FROM deferred
  ON CONFLICT (run_id) DO UPDATE SET
    ${KEPT},
    -- What came of the last question says more than why there was none.
    unknown_cause = CASE WHEN ${IS_SAME}
      THEN coalesce(s.unknown_cause, excluded.unknown_cause) ELSE excluded.unknown_cause END,
    ${kept("error_times", "error_cause", "error_retry_at")},
    look_at = excluded.look_at,
    shield_at = excluded.shield_at`),
);
