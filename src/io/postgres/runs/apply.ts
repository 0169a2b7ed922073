import type { RunSnapshot } from "../../../rules/model.ts";
import type { TerminalWrite } from "../../../watchdog/store-ports.ts";
import { onlyIf, perShape, statement } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { perShard, type ShardFenced } from "../sql.ts";
import { guardParams } from "./write-facts.ts";

/**
 * Ends a run and writes its verdict into the journal. What it touches, the run's row and what is remembered of it, is
 * locked or refused at once.
 */
export const APPLY = perShard(({ fence }) => {
  const remembered = applies(fence, onlyIf(true));
  const unknown = applies(fence, onlyIf(false));
  return ({ isRemembered }: Pick<RunSnapshot, "isRemembered">) =>
    isRemembered ? remembered : unknown;
});

/**
 * @param ifRemembered the parts for a run of which something is remembered. Of most there is nothing, and looking for it
 *   takes a fifth of the statement's time.
 */
function applies(fence: string, ifRemembered: ReturnType<typeof onlyIf>) {
  return perShape(({ statusDetail, sandboxCleanupDueAt: stamp }: HostColumns) =>
    statement<ApplyParams, { readonly run_id: string }>(`
    WITH target AS MATERIALIZED (
      SELECT id,
        now() + :cleanupInMs::float8 * interval '1 millisecond' AS cleanup_at,
        now() + :deletionInMs::float8 * interval '1 millisecond' AS deletion_at
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
    )${ifRemembered`, suspicion AS MATERIALIZED (
      -- Waiting for another worker's note would mean waiting with the run's row locked.
      SELECT run_id FROM watchdog.suspicions WHERE run_id = :id::uuid FOR UPDATE NOWAIT
    )`}, judged AS (
      UPDATE automation_runs AS run
      SET status = :status::text,
        ${statusDetail ? "status_detail = :statusDetail::text::json," : ""}
        ${stamp ? "sandbox_cleanup_due_at = coalesce(target.deletion_at, sandbox_cleanup_due_at)," : ""}
        error_detail = coalesce(:errorDetail::text, run.error_detail),
        completed_at = now()
      FROM target
      WHERE run.id = target.id
      RETURNING run.id, run.sandbox_id, target.cleanup_at, target.deletion_at,
        ${stamp ? "run.sandbox_cleanup_due_at" : "NULL::timestamptz"} AS stamp_at
    )${ifRemembered`, forgotten AS (
      DELETE FROM watchdog.suspicions
      WHERE run_id IN (SELECT judged.id FROM judged JOIN suspicion ON true)
    )`}
    INSERT INTO watchdog.verdicts (
      run_id, automation_id, user_id, org_id, shard, epoch, holder, trigger, decided_at, outcome, basis, reason,
      evidence, sandbox_id, cleanup_state, cleanup_next_at, cleanup_due_at, cleanup_stamp_at,
      first_run_state, override_reason)
    SELECT
      id AS run_id,
      :automationId::uuid AS automation_id,
      :userId::uuid AS user_id,
      :orgId::uuid AS org_id,
      :shard::smallint AS shard,
      :epoch::bigint AS epoch,
      :holder::text AS holder,
      :trigger::text AS trigger,
      now() AS decided_at,
      :status::text AS outcome,
      :basis::text AS basis,
      :reason::text AS reason,
      -- What was suspected goes with the run, and whoever asks later how the verdict came about needs it.
      :evidence::text::jsonb${ifRemembered` || coalesce((
        SELECT jsonb_build_object('suspicion', jsonb_build_object(
          'first_deadline_at', s.first_deadline_at,
          'presumed_times', s.presumed_times, 'presumed_last_at', s.presumed_last_at,
          'unknown_times', s.unknown_times, 'unknown_since', s.unknown_since,
          'held_since', s.held_since))
        FROM watchdog.suspicions AS s
        WHERE s.run_id = :id::uuid
          AND s.sandbox_id IS NOT DISTINCT FROM :sandboxId::text
          AND s.bash_command_id IS NOT DISTINCT FROM :bashCommandId::text
          AND s.began_at IS NOT DISTINCT FROM :beganAt::text::timestamptz
      ), '{}')`} AS evidence,
      sandbox_id AS sandbox_id,
      :cleanupState::text AS cleanup_state,
      -- A host that cannot be told keeps its sandbox untouched for as long.
      ${stamp ? "cleanup_at" : "coalesce(deletion_at, cleanup_at)"} AS cleanup_next_at,
      nullif(coalesce(deletion_at, cleanup_at), now()) AS cleanup_due_at,
      CASE WHEN deletion_at IS NOT NULL THEN stamp_at END AS cleanup_stamp_at,
      :firstRunState::text AS first_run_state,
      :overrideReason::text AS override_reason
    FROM judged
    RETURNING run_id`),
  );
}

type ApplyParams = ReturnType<typeof applyParams>;

export function applyParams(write: TerminalWrite, fence: ShardFenced) {
  const { run, verdict } = write;
  const hasSandbox = run.sandboxId !== null && run.sandboxId !== "";
  const cleans = write.cleanupInMs !== null && hasSandbox && !run.keepAlive;
  const failed = verdict.kind === "fail" ? verdict : null;
  return {
    ...guardParams(run, fence),
    status: failed === null ? "COMPLETED" : "FAILED",
    errorDetail: failed?.errorDetail ?? null,
    statusDetail: failed?.statusDetail ?? "null",
    automationId: run.automationId,
    userId: run.userId,
    orgId: run.orgId,
    holder: write.holder,
    trigger: write.trigger,
    basis: verdict.basis,
    reason: verdict.reason,
    evidence: JSON.stringify(write.evidence),
    cleanupState: cleans ? "pending" : "none",
    cleanupInMs: cleans ? write.cleanupInMs : null,
    deletionInMs: cleans ? write.deletionInMs : null,
    firstRunState: run.firstRunOpen ? "pending" : "none",
    overrideReason: write.overrideReason,
  };
}
