import type { CleanupPlan } from "../../../rules/cleanup/cleanup-plan.ts";
import { CLAIM_MS } from "../../../rules/cleanup/cleanup-retry.ts";
import { onlyIf, perShape, statement, unprepared } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { type Fenced, HAS_ENDED, IS_PRESUMED_DEAD } from "../sql.ts";

/** Sandboxes that no verdict of ours has scheduled for deletion when it was written. */

interface LateShape {
  readonly keepAlive: boolean;
  /** Whether the deletion is deferred and the host is told of that. */
  readonly stamps: boolean;
}

/**
 * The dispatcher names a sandbox when its command has begun, also after a verdict. Somebody else may be adopting it as
 * well.
 */
export const ADOPT_LATE = perShape(({ keepAlive, stamps }: LateShape) =>
  statement<CleanupPlan & Fenced, { readonly id: number }>(`
  WITH late AS (
    SELECT v.id, v.run_id, run.sandbox_id
    FROM watchdog.verdicts v
      JOIN automation_runs run ON run.id = v.run_id
      LEFT JOIN automations a ON a.id = run.automation_id
    WHERE v.basis = 'presumption'
      AND v.decided_at > now() - interval '1 hour'
      AND v.cleanup_state = 'none'
      AND coalesce(v.sandbox_id, '') = ''
      AND run.sandbox_id <> ''
      AND ${IS_PRESUMED_DEAD}
      ${onlyIf(keepAlive)`AND a.keep_alive IS NOT TRUE`}
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    ${onlyIf(stamps)`FOR NO KEY UPDATE OF run SKIP LOCKED`}
  )${onlyIf(stamps)`, stamped AS (
    UPDATE automation_runs run
    SET sandbox_cleanup_due_at = now() + :deletionInMs::float8 * interval '1 millisecond'
    FROM late
    WHERE run.id = late.run_id
    RETURNING run.id, run.sandbox_cleanup_due_at
  )`}
  UPDATE watchdog.verdicts v
  SET sandbox_id = late.sandbox_id,
    cleanup_state = 'pending',
    ${onlyIf(stamps)`cleanup_stamp_at = stamped.sandbox_cleanup_due_at,`}
    cleanup_due_at =
      now() + coalesce(:deletionInMs::float8, :cleanupInMs::float8) * interval '1 millisecond',
    -- A host that cannot be told keeps its sandbox untouched for as long.
    cleanup_next_at = now() + coalesce(
      ${onlyIf(!stamps)`:deletionInMs::float8,`} :cleanupInMs::float8) * interval '1 millisecond'
  FROM late${onlyIf(stamps)` LEFT JOIN stamped ON stamped.id = late.run_id`}
  WHERE v.id = late.id
    AND v.cleanup_state = 'none'
  RETURNING v.id`),
);

interface OverdueParams extends Fenced {
  /** Keeps the statement short; the rest comes with the next one. */
  readonly limit: number;
}

/**
 * A deletion that the host stamped becomes a row of the journal, which is no verdict of ours, and the stamp ours. One of
 * our own that could not be taken away when its deletion was settled is only taken away.
 *
 * Five minutes after it was due the host's own watchdog would have deleted it, if it were at work.
 */
export const ADOPT_OVERDUE = perShape(({ keepAlive }: HostColumns) =>
  unprepared<OverdueParams, { readonly runId: string }>(`
  WITH overdue AS (
    SELECT run.id, a.user_id, a.org_id, stamp.was_ours
    FROM automation_runs run
      LEFT JOIN automations a ON a.id = run.automation_id
      CROSS JOIN LATERAL (SELECT EXISTS (
        SELECT FROM watchdog.verdicts v
        WHERE v.run_id = run.id AND v.cleanup_stamp_at = run.sandbox_cleanup_due_at) AS was_ours) stamp
    WHERE run.sandbox_cleanup_due_at <= now() - interval '5 minutes'
      AND ${HAS_ENDED}
      AND NOT EXISTS (
        SELECT FROM watchdog.verdicts v WHERE v.run_id = run.id AND v.cleanup_state = 'pending')
      AND (stamp.was_ours OR run.sandbox_id <> ''${onlyIf(keepAlive)` AND a.keep_alive IS NOT TRUE`})
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    ORDER BY run.sandbox_cleanup_due_at
    LIMIT :limit::bigint
    FOR NO KEY UPDATE OF run SKIP LOCKED
  ), stamped AS (
    UPDATE automation_runs run
    SET sandbox_cleanup_due_at =
      CASE WHEN NOT overdue.was_ours THEN now() + interval '${CLAIM_MS} milliseconds' END
    FROM overdue
    WHERE run.id = overdue.id
    RETURNING run.id, run.automation_id, overdue.user_id, overdue.org_id, run.status, run.sandbox_id,
      run.sandbox_cleanup_due_at
  )
  INSERT INTO watchdog.verdicts
    (run_id, automation_id, user_id, org_id,
     epoch, holder, trigger, decided_at,
     outcome, basis, reason, evidence,
     sandbox_id, cleanup_state, cleanup_next_at, cleanup_stamp_at, first_run_state)
  SELECT
     id, automation_id, user_id, org_id,
     :epoch::bigint, 'host', 'host', now(),
     status, 'host', 'sandbox_cleanup_due_at', '{}',
     sandbox_id, 'pending', now(), sandbox_cleanup_due_at, 'none'
  FROM stamped
  WHERE sandbox_cleanup_due_at IS NOT NULL
  RETURNING run_id AS "runId"`),
);
