import type { Backlog, GuardFacts } from "../../../watchdog/store-ports.ts";
import { statement } from "../connection/statement.ts";
import {
  counted,
  DEADLINE,
  HORIZON,
  IS_DUE,
  IS_SUSPECTED,
  IS_SUSPECTED_BEFORE,
  IS_WAITING,
  type QueryParams,
} from "./run-conditions.ts";

/** What a sweep reads of all runs together. */

export const BACKLOG = statement<QueryParams, Backlog>(`
  SELECT
    count(*) FILTER (WHERE is_taken_up AND NOT is_waiting) AS count,
    count(*) FILTER (WHERE NOT is_taken_up AND noted_deadline < ${HORIZON}) AS deferred,
    count(*) FILTER (WHERE held_since IS NOT NULL) AS held,
    count(*) FILTER (WHERE error_times > 0) AS failing,
    -- Seconds are subtracted, not instants: a deadline of -infinity stops older servers.
    trunc((extract(epoch FROM ${HORIZON}) - extract(epoch FROM
      min(first_deadline) FILTER (WHERE first_deadline < ${HORIZON}))) * 1000) AS "oldestOverdueMs"
  FROM (
    SELECT
      ${IS_DUE} OR :includeSuspected::boolean AND coalesce(${IS_SUSPECTED_BEFORE}, false)
        AS is_taken_up,
      ${IS_WAITING} AS is_waiting,
      ${counted("first_deadline_at")} AS noted_deadline,
      least(${counted("first_deadline_at")}, ${DEADLINE}) AS first_deadline,
      ${counted("held_since")} AS held_since,
      ${counted("error_times")} AS error_times
    FROM automation_runs AS run
    LEFT JOIN watchdog.suspicions AS s ON s.run_id = run.id
    WHERE run.status = 'RUNNING' AND (${DEADLINE} < ${HORIZON} OR s.run_id IS NOT NULL)
  ) AS known`);

interface GuardParams {
  readonly confirmations: number;
  readonly othersWithinMs: number;
}

/** Whatever a sweep is limited to, the guard knows of the whole fleet: a mass must not pass in pieces. */
export const GUARD_FACTS = statement<GuardParams, GuardFacts>(`
  SELECT
    (SELECT count(*)
     FROM watchdog.suspicions AS s
     WHERE s.presumed_times > 0
       AND s.presumed_times >= :confirmations::int - 1
       AND (SELECT ${IS_SUSPECTED}
            FROM automation_runs AS run WHERE run.id = s.run_id AND run.status = 'RUNNING')
    ) AS confirmable,
    count(*) FILTER (WHERE basis = 'presumption' AND override_reason IS NULL) AS "presumedLastHour",
    count(*) FILTER (WHERE basis = 'proof') AS "provenLastHour",
    (SELECT coalesce(sum(value::bigint), 0)
     FROM watchdog.leadership, jsonb_each_text(last_report -> 'counts')
     WHERE key IN ('completed', 'failed', 'deferred', 'suspected', 'held')) AS "lastAnswered",
    -- What is suspected there is the first shard's to look at again, and would count twice.
    (SELECT coalesce(sum(value::bigint), 0)
     FROM watchdog.shards, jsonb_each_text(last_report -> 'counts')
     WHERE last_report ->> 'startedAt' > to_char(
         (now() - :othersWithinMs::float8 * interval '1 millisecond') AT TIME ZONE 'utc',
         'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
       AND key IN ('completed', 'failed', 'deferred')) AS "othersAnswered"
  FROM watchdog.verdicts
  -- Both, so that the index over basis and time is of use.
  WHERE basis IN ('presumption', 'proof') AND decided_at > now() - interval '1 hour'`);
