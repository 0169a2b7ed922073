import type { SuspicionChange } from "../../../rules/suspicion.ts";
import type { DeferWrite } from "../../../watchdog/store-ports.ts";
import { perShape, statement } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { perShard } from "../sql.ts";
import { IS_SAME } from "./kept-suspicion.ts";
import type { GuardParams } from "./write-facts.ts";

type DeferParams = GuardParams & Omit<DeferWrite, "run" | "suspicion"> & SuspicionChange;

/**
 * Two points in time: our next look, and the deadline that hides the run from others until some time after it, the
 * shield. A deadline that lies later already stays. What is remembered of the run gives way to what is known now.
 */
export const DEFER = perShard(({ fence }) =>
  perShape(({ statusDetail }: HostColumns) =>
    statement<DeferParams, { readonly run_id: string }>(`
    WITH target AS MATERIALIZED (
      SELECT id,
        least(now() + :deferMs::float8 * interval '1 millisecond',
          to_timestamp(:notAfterMs::float8 / 1000)) AS look_at
      FROM automation_runs
      WHERE id = :id::uuid
        AND status = 'RUNNING'
        AND timeout_at IS NOT DISTINCT FROM :timeoutAt::text::timestamptz
        AND sandbox_id IS NOT DISTINCT FROM :sandboxId::text
        AND bash_command_id IS NOT DISTINCT FROM :bashCommandId::text
        -- The same row may be about another attempt by now.
        AND coalesce(started_at, created_at) IS NOT DISTINCT FROM :beganAt::text::timestamptz
        -- The fence: no newer epoch has been handed out.
        AND ${fence}
      FOR NO KEY UPDATE NOWAIT
    ), suspicion AS MATERIALIZED (
      -- Waiting for another worker's note would mean waiting with the run's row locked. Only an insert
      -- under way cannot be seen; waiting for that one takes as long as a statement of our own.
      SELECT shield_at FROM watchdog.suspicions WHERE run_id = :id::uuid FOR UPDATE NOWAIT
    ), deferred AS (
      UPDATE automation_runs AS run
      SET ${statusDetail ? "status_detail = coalesce(:statusDetail::text::json, run.status_detail)," : ""}
        timeout_at = greatest(run.timeout_at,
          target.look_at + :shieldMs::float8 * interval '1 millisecond')
      FROM target LEFT JOIN suspicion ON true
      WHERE run.id = target.id
      RETURNING run.id, run.sandbox_id, run.bash_command_id,
        coalesce(run.started_at, run.created_at) AS began_at, run.timeout_at, target.look_at,
        -- A deadline that lies later than our shield is the host's, unless an earlier sweep has set it.
        run.timeout_at IN (target.look_at + :shieldMs::float8 * interval '1 millisecond',
          suspicion.shield_at) AS is_ours
    )
    INSERT INTO watchdog.suspicions AS s (
      run_id, sandbox_id, bash_command_id, began_at, first_deadline_at, noted_at,
      presumed_times, presumed_reason, presumed_last_at, unknown_times, unknown_since,
      unknown_cause, held_since,
      look_at, shield_at)
    SELECT
      id AS run_id,
      sandbox_id AS sandbox_id,
      bash_command_id AS bash_command_id,
      began_at AS began_at,
      -- The guard compared the deadline with the row's. A run without one was found just now.
      coalesce(:timeoutAt::text::timestamptz, now()) AS first_deadline_at,
      now() AS noted_at,
      :presumedTimes::int AS presumed_times,
      :presumedReason::text AS presumed_reason,
      CASE WHEN :observed::boolean AND :presumedTimes::int > 0 THEN now() END AS presumed_last_at,
      :unknownTimes::int AS unknown_times,
      CASE WHEN :unknownTimes::int > 0 THEN now() END AS unknown_since,
      :unknownCause::text AS unknown_cause,
      CASE WHEN :held::boolean THEN now() END AS held_since,
      CASE WHEN is_ours THEN look_at END AS look_at,
      CASE WHEN is_ours THEN timeout_at END AS shield_at
    FROM deferred
    ON CONFLICT (run_id) DO UPDATE SET
      sandbox_id = excluded.sandbox_id,
      bash_command_id = excluded.bash_command_id,
      began_at = excluded.began_at,
      first_deadline_at = CASE WHEN ${IS_SAME}
        THEN s.first_deadline_at ELSE excluded.first_deadline_at END,
      noted_at = excluded.noted_at,
      presumed_times = excluded.presumed_times,
      presumed_reason = excluded.presumed_reason,
      presumed_last_at = CASE WHEN ${IS_SAME} AND excluded.presumed_times > 0
        THEN coalesce(excluded.presumed_last_at, s.presumed_last_at)
        ELSE excluded.presumed_last_at END,
      unknown_times = excluded.unknown_times,
      unknown_since = CASE WHEN ${IS_SAME} AND excluded.unknown_since IS NOT NULL
        THEN coalesce(s.unknown_since, excluded.unknown_since) ELSE excluded.unknown_since END,
      unknown_cause = excluded.unknown_cause,
      error_times = excluded.error_times,
      error_cause = excluded.error_cause,
      error_retry_at = excluded.error_retry_at,
      held_since = CASE WHEN ${IS_SAME} AND excluded.held_since IS NOT NULL
        THEN coalesce(s.held_since, excluded.held_since) ELSE excluded.held_since END,
      look_at = excluded.look_at,
      shield_at = excluded.shield_at
    RETURNING run_id`),
  ),
);
