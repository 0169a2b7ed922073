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
export const MARK_OVERTURNED = unprepared<OverturnedParams, { readonly id: number }>(`
  WITH overturned AS (
    SELECT v.id
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
  UPDATE watchdog.verdicts
  SET overturned_at = now()
  WHERE id IN (SELECT id FROM overturned)
  RETURNING id`);
