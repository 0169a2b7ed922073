import type { OverturnedVerdict } from "../../../watchdog/journal-ports.ts";
import { unprepared } from "../connection/statement.ts";
import { type Fenced, HAS_ENDED, IS_PRESUMED_DEAD } from "../sql.ts";

interface OverturnedParams extends Fenced {
  readonly withinMs: number;
  readonly limit: number;
}

/**
 * Only reads the host's rows. An attempt that began after the verdict is another one, whatever became of it; a CTE with
 * a locking clause is run once.
 */
export const MARK_OVERTURNED = unprepared<OverturnedParams, OverturnedVerdict>(`
  WITH overturned AS (
    SELECT v.id, v.run_id
    FROM watchdog.verdicts AS v
    WHERE v.basis = 'presumption'
      AND v.decided_at > now() - :withinMs::float8 * interval '1 millisecond'
      AND v.overturned_at IS NULL
      AND EXISTS (
        SELECT FROM automation_runs AS run
        WHERE run.id = v.run_id
          AND ${HAS_ENDED}
          AND (${IS_PRESUMED_DEAD}) IS NOT TRUE
          AND coalesce(run.started_at, run.created_at) <= v.decided_at)
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    LIMIT :limit::bigint
    FOR UPDATE SKIP LOCKED
  )
  UPDATE watchdog.verdicts AS v
  SET overturned_at = now()
  FROM overturned JOIN automation_runs AS run ON run.id = overturned.run_id
  WHERE v.id = overturned.id
  RETURNING v.run_id AS "runId", v.automation_id AS "automationId", v.outcome, v.reason,
    to_char(v.decided_at AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "decidedAt",
    run.status AS "statusNow",
    -- Seconds are subtracted, not instants: one that has no end stops older servers.
    CASE WHEN isfinite(run.completed_at) AND run.completed_at > v.decided_at
      THEN trunc((extract(epoch FROM run.completed_at) - extract(epoch FROM v.decided_at)) * 1000)
    END AS "laterMs",
    CASE WHEN v.sandbox_id IS NOT NULL THEN v.cleanup_state = 'done' END AS "sandboxDeleted"`);
