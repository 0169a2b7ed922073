import { unprepared } from "../connection/statement.ts";
import type { Fenced } from "../sql.ts";

interface PruneParams extends Fenced {
  readonly olderThanMs: number;
  /** Keeps the statement short; the rest is removed by the next one. */
  readonly limit: number;
}

/**
 * A CTE with a locking clause is run once; as a subquery it might be run again for every row, each time for others.
 * Every basis there is, so that the index over both columns finds the old ones of each.
 */
export const PRUNE = unprepared<PruneParams, { readonly id: number }>(`
  WITH old AS (
    SELECT id
    FROM watchdog.verdicts
    WHERE basis IN ('proof', 'presumption', 'host')
      AND decided_at < now() - :olderThanMs::float8 * interval '1 millisecond'
      AND cleanup_state <> 'pending'
      AND first_run_state <> 'pending'
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    LIMIT :limit::bigint
    FOR UPDATE SKIP LOCKED
  )
  DELETE FROM watchdog.verdicts
  WHERE id IN (SELECT id FROM old)
  RETURNING id`);
