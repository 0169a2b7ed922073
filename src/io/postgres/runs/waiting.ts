import {
  UNKNOWN_CAUSE,
  UNKNOWN_FAILURE,
  type Waiting,
  type WaitingState,
} from "../../../rules/report.ts";
import { statement } from "../connection/statement.ts";
import { IS_ABOUT_THIS, IS_SHIELDED } from "./run-conditions.ts";

/** A run that could not be handled is not looked at before its time; one without a deadline may have nothing but that. */
const NEXT_LOOK = `greatest(CASE WHEN ${IS_SHIELDED} THEN s.look_at ELSE run.timeout_at END,
  s.error_retry_at)`;

function grouped(state: WaitingState, cause: string): string {
  return `(SELECT coalesce(json_agg(json_build_object('cause', cause, 'count', count)
      ORDER BY count DESC, cause), '[]')
    FROM (SELECT ${cause} AS cause, count(*) AS count FROM known WHERE state = '${state}'
      GROUP BY 1 ORDER BY count DESC, cause LIMIT 20) AS most)`;
}

export const WAITING = statement<{ readonly after: string | null }, Waiting>(`
  WITH noted AS MATERIALIZED (
    SELECT
      CASE
        WHEN s.held_since IS NOT NULL THEN 'held'
        WHEN s.error_times > 0 THEN 'failing'
        WHEN s.unknown_times > 0 OR s.unknown_cause IS NOT NULL THEN 'unanswered'
        WHEN s.presumed_times > 0 THEN 'suspected'
        ELSE 'alive'
      END AS state,
      s.unknown_cause, s.error_cause,
      ${NEXT_LOOK} AS next_look_at
    FROM watchdog.suspicions AS s
    JOIN automation_runs AS run ON run.id = s.run_id AND run.status = 'RUNNING' AND ${IS_ABOUT_THIS}
  ), known AS MATERIALIZED (
    SELECT * FROM noted
    WHERE next_look_at < :after::text::timestamptz IS NOT TRUE
  )
  SELECT
    count(*) FILTER (WHERE state = 'alive') AS alive,
    count(*) FILTER (WHERE state = 'suspected') AS suspected,
    count(*) FILTER (WHERE state = 'held') AS held,
    count(*) FILTER (WHERE state = 'unanswered') AS unanswered,
    count(*) FILTER (WHERE state = 'failing') AS failing,
    to_char(min(next_look_at) FILTER (WHERE isfinite(next_look_at)) AT TIME ZONE 'utc',
      'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "nextLookAt",
    ${grouped("unanswered", `coalesce(unknown_cause, '${UNKNOWN_CAUSE}')`)} AS causes,
    ${grouped("failing", `coalesce(error_cause, '${UNKNOWN_FAILURE}')`)} AS failures
  FROM known`);
