import { statement } from "../connection/statement.ts";
import { type PartParams, perPart } from "./part.ts";
import {
  BEGAN,
  HORIZON,
  IS_DUE,
  IS_SHIELDED,
  IS_SUSPECTED_BEFORE,
  IS_WAITING,
  type QueryParams,
} from "./run-conditions.ts";

/** The runs to take up, page by page: each part in the order of an index, behind the last one of the page before. */

interface PageParams extends QueryParams, PartParams {
  readonly afterId: string;
  readonly limit: number;
}

interface PageRow {
  readonly id: string;
}

/** A run is in one of the two parts: due by its own deadline, or by our look behind the shield that we set. */
export const STALE_PAGE = perPart(({ runIsIn, noteMayBeIn, noteIsIn }) =>
  statement<PageParams & { readonly afterAt: string }, PageRow & { readonly dueAt: string }>(`
  SELECT id, to_json(due_at) #>> '{}' AS "dueAt"
  FROM (
    (SELECT run.id, run.timeout_at AS due_at
     FROM automation_runs AS run
     WHERE run.status = 'RUNNING'
       AND run.timeout_at < :horizon::text::timestamptz
       AND (run.timeout_at, run.id) > (:afterAt::text::timestamptz, :afterId::uuid)
       AND (SELECT ${IS_SHIELDED} OR ${IS_WAITING}
            FROM watchdog.suspicions AS s WHERE s.run_id = run.id) IS NOT TRUE${runIsIn}
     ORDER BY run.timeout_at, run.id
     LIMIT :limit::bigint)
    UNION ALL
    (SELECT s.run_id, s.look_at
     FROM watchdog.suspicions AS s
     WHERE s.look_at < :horizon::text::timestamptz
       AND (s.look_at, s.run_id) > (:afterAt::text::timestamptz, :afterId::uuid)${noteMayBeIn}
       AND (SELECT ${IS_SHIELDED} AND NOT ${IS_WAITING}${noteIsIn}
            FROM automation_runs AS run WHERE run.id = s.run_id AND run.status = 'RUNNING')
     ORDER BY s.look_at, s.run_id
     LIMIT :limit::bigint)
  ) AS due
  ORDER BY due_at, id
  LIMIT :limit::bigint`),
);

export const PAGE_WITHOUT_DEADLINE = perPart(({ runIsIn }) =>
  statement<PageParams, PageRow>(`
  SELECT run.id
  FROM automation_runs AS run
  WHERE run.status = 'RUNNING'
    AND run.timeout_at IS NULL
    AND ${BEGAN} < ${HORIZON} - :nullDeadlineAfterMs::float8 * interval '1 millisecond'
    AND run.id > :afterId::uuid
    AND (SELECT ${IS_WAITING} FROM watchdog.suspicions AS s WHERE s.run_id = run.id) IS NOT TRUE${runIsIn}
  ORDER BY run.id
  LIMIT :limit::bigint`),
);

export const SUSPECTED_PAGE = perPart(({ noteMayBeIn, noteIsIn }) =>
  statement<PageParams, PageRow>(`
  SELECT s.run_id AS id
  FROM watchdog.suspicions AS s
  WHERE s.presumed_times > 0
    AND s.run_id > :afterId::uuid${noteMayBeIn}
    AND (SELECT ${IS_SUSPECTED_BEFORE} AND NOT ${IS_WAITING} AND ${IS_DUE} IS NOT TRUE${noteIsIn}
         FROM automation_runs AS run WHERE run.id = s.run_id AND run.status = 'RUNNING')
  ORDER BY s.run_id
  LIMIT :limit::bigint`),
);
