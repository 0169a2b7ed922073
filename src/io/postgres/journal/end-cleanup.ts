import { CLAIM_MS } from "../../../rules/cleanup/cleanup-retry.ts";
import { onlyIf, perShape, statement } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import type { Fenced } from "../sql.ts";

interface DoneParams extends Fenced {
  readonly id: number;
  readonly note: string | null;
}

/**
 * The sandbox is gone, so whatever else waits for its deletion is settled with it. It is looked for by the sandbox alone:
 * an OR with the verdict's own id would read all that is pending.
 */
export const DONE = perShape(({ sandboxCleanupDueAt: stamps }: HostColumns) =>
  statement<DoneParams, object>(`
  WITH settled AS (
    SELECT id, run_id, cleanup_stamp_at
    FROM watchdog.verdicts
    WHERE cleanup_state = 'pending'
      AND sandbox_id = (SELECT deleted.sandbox_id FROM watchdog.verdicts deleted WHERE deleted.id = :id::bigint)
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    FOR UPDATE
  )${onlyIf(stamps)`, held AS (
    SELECT run.id
    FROM automation_runs run JOIN settled ON settled.run_id = run.id
    WHERE run.sandbox_cleanup_due_at = settled.cleanup_stamp_at
    FOR NO KEY UPDATE OF run SKIP LOCKED
  ), stamped AS (
    UPDATE automation_runs run
    SET sandbox_cleanup_due_at = NULL
    FROM held
    WHERE run.id = held.id
  )`}
  UPDATE watchdog.verdicts v
  SET cleanup_state = 'done', cleanup_next_at = NULL, cleanup_error = :note::text
  FROM settled
  WHERE v.id = settled.id`),
);

interface FailedParams extends Fenced {
  readonly id: number;
  readonly error: string;
  readonly retryInMs: number;
}

/** The stamp keeps the host's watchdog away until the next attempt would have ended. */
export const FAILED = perShape(({ sandboxCleanupDueAt: stamps }: HostColumns) =>
  statement<FailedParams, { readonly state: "pending" | "abandoned" }>(`
  WITH failed AS (
    SELECT id, run_id, cleanup_stamp_at,
      CASE WHEN coalesce(cleanup_due_at, decided_at) < now() - interval '24 hours' THEN 'abandoned'
        ELSE 'pending' END AS state
    FROM watchdog.verdicts
    WHERE id = :id::bigint
      AND cleanup_state = 'pending'
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    FOR UPDATE
  )${onlyIf(stamps)`, held AS (
    SELECT run.id, failed.state
    FROM automation_runs run JOIN failed ON failed.run_id = run.id
    WHERE run.sandbox_cleanup_due_at = failed.cleanup_stamp_at
    FOR NO KEY UPDATE OF run SKIP LOCKED
  ), stamped AS (
    UPDATE automation_runs run
    SET sandbox_cleanup_due_at = CASE held.state WHEN 'pending'
      THEN now() + (:retryInMs::float8 + ${CLAIM_MS}) * interval '1 millisecond' END
    FROM held
    WHERE run.id = held.id
    RETURNING run.id, run.sandbox_cleanup_due_at
  )`}
  UPDATE watchdog.verdicts v
  SET cleanup_state = failed.state,
    cleanup_next_at = now() + :retryInMs::float8 * interval '1 millisecond',
    ${onlyIf(stamps)`cleanup_stamp_at = coalesce(stamped.sandbox_cleanup_due_at, v.cleanup_stamp_at),`}
    cleanup_error = :error::text
  FROM failed${onlyIf(stamps)` LEFT JOIN stamped ON stamped.id = failed.run_id`}
  WHERE v.id = failed.id
  RETURNING v.cleanup_state AS state`),
);
