import { CLAIM_MS } from "../../../rules/cleanup/cleanup-retry.ts";
import type { CleanupTask } from "../../../watchdog/journal-ports.ts";
import { onlyIf, perShape, statement } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { type Fenced, HAS_ENDED, IS_PRESUMED_DEAD } from "../sql.ts";

interface ClaimParams extends Fenced {
  readonly limit: number;
}

interface Claim extends Omit<CleanupTask, "sandboxId" | "pauseWithinMs"> {
  readonly sandboxId: string | null;
  readonly untilDueMs: number | null;
  readonly outcome: ClaimOutcome;
}

/**
 * What becomes of a deletion that is due. `spared`: its run or its sandbox is not ours any more, or the sandbox is kept.
 * `settled`: somebody took our stamp away, as the host does when it has deleted. `postponed`: a RUNNING run names the
 * sandbox as well, or its own run is being written. `paused`: the deletion itself is not due.
 */
type ClaimOutcome = "claimed" | "paused" | "postponed" | "settled" | "spared";

/**
 * One attempt is counted for what is claimed; what is postponed is looked at again when a claim would have run out.
 *
 * Of several verdicts that name the same sandbox one at a time is claimed, and none while another's attempt is in
 * flight, backing off, or still to wait for: the sandbox goes when all of them agree, and is paused when all of them
 * agree to that. The one with most attempts goes on, so that they do not add up. While a claim is not committed yet,
 * everybody else chooses the same row, and skips it.
 *
 * `sandbox_cleanup_due_at`, by which the host's own watchdog knows what to delete, is the only column of a finished run
 * that we write, here and when the clean-up ends, and only while it holds what we put there. A row that somebody else is
 * writing is left alone.
 */
export const CLAIM = perShape(({ keepAlive, sandboxCleanupDueAt: stamps }: HostColumns) =>
  statement<ClaimParams, Claim>(`
  WITH due AS (
    SELECT v.id, v.run_id, v.cleanup_stamp_at,
      CASE
        -- A late callback may have overturned a presumption; then its sandbox is the host's business again.
        WHEN v.basis <> 'proof' AND NOT EXISTS (
          SELECT FROM automation_runs run
          WHERE run.id = v.run_id AND run.sandbox_id IS NOT DISTINCT FROM v.sandbox_id
            AND CASE v.basis WHEN 'presumption' THEN ${IS_PRESUMED_DEAD} ELSE ${HAS_ENDED} END
        ) THEN 'spared'
        ${onlyIf(keepAlive)`WHEN EXISTS (
          SELECT FROM automations a WHERE a.id = v.automation_id AND a.keep_alive IS TRUE
        ) THEN 'spared'`}
        -- By the stamp that the row has instead of ours. Where the row is gone there is nothing to compare.
        ${onlyIf(stamps)`WHEN v.cleanup_stamp_at IS NOT NULL AND EXISTS (
          SELECT FROM automation_runs run WHERE run.id = v.run_id AND run.sandbox_cleanup_due_at IS NULL
        ) THEN 'settled'
        WHEN v.cleanup_stamp_at IS NOT NULL AND EXISTS (
          SELECT FROM automation_runs run
          WHERE run.id = v.run_id AND run.sandbox_cleanup_due_at <> v.cleanup_stamp_at
        ) THEN 'spared'`}
        WHEN EXISTS (
          SELECT FROM automation_runs run WHERE run.status = 'RUNNING' AND run.sandbox_id = v.sandbox_id
        ) THEN 'postponed'
        -- Only what the host was told of is paused: without a stamp nothing is touched before it is deleted.
        WHEN v.cleanup_stamp_at IS NOT NULL AND v.cleanup_due_at > now() THEN 'paused'
        ELSE 'claimed'
      END AS outcome${onlyIf(stamps)`,
      EXISTS (
        SELECT FROM automation_runs run
        WHERE run.id = v.run_id AND run.sandbox_cleanup_due_at = v.cleanup_stamp_at
      ) AS is_stamped`}
    FROM watchdog.verdicts v
    WHERE v.cleanup_state = 'pending'
      AND v.cleanup_next_at <= now()
      AND NOT EXISTS (
        SELECT FROM watchdog.verdicts other
        WHERE other.cleanup_state = 'pending'
          AND other.sandbox_id = v.sandbox_id
          AND other.id <> v.id
          AND (other.cleanup_next_at > now()
            OR (other.cleanup_stamp_at IS NOT NULL AND other.cleanup_due_at > now())
              AND NOT (v.cleanup_stamp_at IS NOT NULL AND v.cleanup_due_at > now())
            OR (other.cleanup_attempts, v.id) > (v.cleanup_attempts, other.id)))
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    ORDER BY v.cleanup_next_at
    LIMIT :limit::bigint
    FOR UPDATE SKIP LOCKED
  )${onlyIf(stamps)`, held AS (
    SELECT run.id, due.outcome
    FROM automation_runs run JOIN due ON due.run_id = run.id
    WHERE run.sandbox_cleanup_due_at = due.cleanup_stamp_at
      AND due.outcome IN ('claimed', 'spared')
    FOR NO KEY UPDATE OF run SKIP LOCKED
  ), stamped AS (
    UPDATE automation_runs run
    SET sandbox_cleanup_due_at =
      CASE held.outcome WHEN 'claimed' THEN now() + interval '${CLAIM_MS} milliseconds' END
    FROM held
    WHERE run.id = held.id
    RETURNING run.id, run.sandbox_cleanup_due_at
  )`}, decided AS (
    SELECT due.id,
      ${onlyIf(!stamps)`due.outcome, due.cleanup_stamp_at AS stamp_at`}
      ${onlyIf(stamps)`CASE WHEN due.outcome = 'claimed' AND due.is_stamped AND held.id IS NULL
        THEN 'postponed' ELSE due.outcome END AS outcome,
      coalesce(stamped.sandbox_cleanup_due_at, due.cleanup_stamp_at) AS stamp_at`}
    FROM due
    ${onlyIf(stamps)`
      LEFT JOIN held ON held.id = due.run_id
      LEFT JOIN stamped ON stamped.id = due.run_id`}
  )
  UPDATE watchdog.verdicts v
  SET cleanup_attempts = v.cleanup_attempts + (decided.outcome = 'claimed')::int,
    cleanup_next_at = CASE decided.outcome WHEN 'settled' THEN NULL WHEN 'paused' THEN v.cleanup_due_at
      ELSE now() + interval '${CLAIM_MS} milliseconds' END,
    cleanup_state = CASE decided.outcome WHEN 'spared' THEN 'none' WHEN 'settled' THEN 'done'
      ELSE 'pending' END,
    cleanup_error = CASE decided.outcome WHEN 'settled' THEN 'the host took it over'
      ELSE v.cleanup_error END,
    cleanup_stamp_at = decided.stamp_at
  FROM decided
  WHERE v.id = decided.id
  RETURNING v.id, v.run_id AS "runId", v.user_id AS "userId", v.org_id AS "orgId",
    v.sandbox_id AS "sandboxId", v.cleanup_attempts AS attempts,
    extract(epoch FROM v.cleanup_due_at - now()) * 1000 AS "untilDueMs", decided.outcome`),
);
