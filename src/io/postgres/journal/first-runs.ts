import type { FirstRunTask } from "../../../watchdog/journal-ports.ts";
import { onlyIf, perShape, statement, unprepared } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { type Fenced, IS_PRESUMED_DEAD, ISO_NOW } from "../sql.ts";

interface OpenParams {
  readonly afterAutomation: string;
  readonly limit: number;
  readonly presumedForMs: number;
}

/**
 * One row per automation, its oldest open verdict, in the order of the automations' ids; none where that is a presumption
 * which may still be overturned.
 */
export const OPEN_FIRST_RUNS = unprepared<OpenParams, FirstRunTask>(`
  WITH oldest AS (
    SELECT DISTINCT ON (automation_id) automation_id, run_id, basis, outcome, decided_at
    FROM watchdog.verdicts
    WHERE first_run_state = 'pending'
      AND automation_id > :afterAutomation::uuid
    ORDER BY automation_id, id
  )
  SELECT oldest.automation_id AS "automationId", oldest.run_id AS "runId", oldest.basis,
    oldest.outcome, a.preset_metadata::text AS metadata, ${ISO_NOW} AS "readAt"
  FROM oldest LEFT JOIN automations a ON a.id = oldest.automation_id
  WHERE oldest.basis = 'proof'
    OR oldest.decided_at <= now() - :presumedForMs::float8 * interval '1 millisecond'
  ORDER BY oldest.automation_id
  LIMIT :limit::bigint`);

interface RecordParams extends Fenced {
  readonly automationId: string;
  readonly runId: string;
  readonly basis: string;
  /** The metadata as it was read. */
  readonly seen: string | null;
  readonly metadata: string;
}

/**
 * `json` is compared and written as text: a cast to jsonb fails on \u0000. A presumption is recorded only while nobody
 * is overturning it: the share lock refuses a callback that has written its run and has not committed yet.
 */
export const RECORD_FIRST_RUN = perShape(({ updatedAt }: HostColumns) =>
  statement<RecordParams, { readonly id: string }>(`
  WITH presumed AS (
    SELECT run.id
    FROM automation_runs run
    WHERE run.id = :runId::uuid AND ${IS_PRESUMED_DEAD}
    FOR SHARE NOWAIT
  ), target AS (
    SELECT id
    FROM automations
    WHERE id = :automationId::uuid
      AND preset_metadata::text = :seen::text
      AND (:basis::text = 'proof' OR EXISTS (SELECT FROM presumed))
      AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
    FOR NO KEY UPDATE NOWAIT
  )
  UPDATE automations a
  SET preset_metadata = :metadata::text::json${onlyIf(updatedAt)`, updated_at = now()`}
  FROM target
  WHERE a.id = target.id
  RETURNING a.id`),
);

export const CLOSE_OVERTURNED = statement<Fenced, { readonly id: number }>(`
  UPDATE watchdog.verdicts v
  SET first_run_state = 'none'
  WHERE v.first_run_state = 'pending'
    AND v.basis = 'presumption'
    AND NOT EXISTS (SELECT FROM automation_runs run WHERE run.id = v.run_id AND ${IS_PRESUMED_DEAD})
    AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint
  RETURNING v.id`);

interface FirstRunDoneParams extends Fenced {
  readonly automationId: string;
}

export const FIRST_RUN_DONE = statement<FirstRunDoneParams, object>(`
  UPDATE watchdog.verdicts
  SET first_run_state = 'done'
  WHERE automation_id = :automationId::uuid
    AND first_run_state = 'pending'
    AND (SELECT epoch FROM watchdog.leadership) = :epoch::bigint`);
