import type { RunSnapshot } from "../../../rules/model.ts";
import { perShape, statement } from "../connection/statement.ts";
import type { HostColumns } from "../host-schema.ts";
import { ISO_NOW, toMillis } from "../sql.ts";
import {
  BEGAN,
  counted,
  DEADLINE,
  HORIZON,
  IS_ABOUT_THIS,
  IS_DUE,
  type QueryParams,
} from "./run-conditions.ts";

/** Single runs, with their automations and what is remembered of them. */

interface SnapshotRow extends RunSnapshot {
  readonly statusDetail: string | null;
}

const FIRST_DEADLINE = `least(${counted("first_deadline_at")}, ${DEADLINE})`;

function snapshot(host: HostColumns): string {
  return `
    SELECT
      run.id,
      run.automation_id AS "automationId",
      automations.user_id AS "userId",
      automations.org_id AS "orgId",
      run.status,
      (run.status = 'RUNNING' AND (${IS_DUE}
        OR :includeSuspected::boolean AND s.run_id IS NOT NULL)) IS TRUE AS stale,
      to_json(run.timeout_at) #>> '{}' AS "timeoutAt",
      extract(epoch FROM ${FIRST_DEADLINE}) * 1000 AS "firstDeadlineMs",
      run.sandbox_id AS "sandboxId",
      run.bash_command_id AS "bashCommandId",
      to_json(${BEGAN}) #>> '{}' AS "beganAt",
      extract(epoch FROM ${BEGAN}) * 1000 AS "beganAtMs",
      automations.timeout AS "timeoutS",
      ${host.keepAlive ? "automations.keep_alive IS TRUE" : "false"} AS "keepAlive",
      ${host.presetMetadata ? HAS_TEMPLATE : "false"} AS "firstRunOpen",
      ${host.statusDetail ? "run.status_detail::text" : "NULL::text"} AS "statusDetail",
      CASE WHEN s.run_id IS NOT NULL AND ${IS_ABOUT_THIS} THEN json_build_object(
        'presumedTimes', s.presumed_times,
        'presumedReason', s.presumed_reason,
        'sincePresumedMs', extract(epoch FROM now() - s.presumed_last_at) * 1000,
        'unknownTimes', s.unknown_times,
        'unknownSinceMs', extract(epoch FROM s.unknown_since) * 1000,
        'errorTimes', s.error_times) END AS suspicion,
      s.run_id IS NOT NULL AS "isRemembered",
      ${ISO_NOW} AS "readAt"
    FROM automation_runs AS run
    LEFT JOIN automations ON automations.id = run.automation_id
    LEFT JOIN watchdog.suspicions AS s ON s.run_id = run.id`;
}

const HAS_TEMPLATE = `(automations.preset_metadata::text LIKE '%"template"%') IS TRUE`;

interface ReadParams extends QueryParams {
  /** As Postgres reads an array. */
  readonly ids: string;
}

/**
 * A row for each id, in their order. Each run is looked up by its id, however many there are: a plan for many might read
 * the whole table.
 */
export const READ = perShape((host: HostColumns) =>
  statement<ReadParams, SnapshotRow | NoSuchRun>(`
    SELECT found.*
    FROM unnest(:ids::text::uuid[]) WITH ORDINALITY AS wanted (id, place)
    LEFT JOIN LATERAL (${snapshot(host)}
      WHERE run.id = wanted.id
      OFFSET 0) AS found ON true
    ORDER BY wanted.place`),
);

interface NoSuchRun {
  readonly id: null;
}

interface ControlRunParams extends QueryParams {
  readonly needsSandboxId: boolean;
  readonly needsBashCommandId: boolean;
  readonly limit: number;
}

/** Few are wanted, so most are not looked at: those with a deadline in the order of its index, then those without. */
export const CONTROL_RUNS = perShape((host: HostColumns) =>
  statement<ControlRunParams, SnapshotRow>(`
    (${snapshot(host)}
     WHERE ${IS_FIT} AND run.timeout_at >= ${HORIZON}
     ORDER BY run.timeout_at DESC, run.id DESC
     LIMIT :limit::bigint)
    UNION ALL
    (${snapshot(host)}
     WHERE ${IS_FIT} AND run.timeout_at IS NULL
     ORDER BY ${BEGAN} DESC, run.id DESC
     LIMIT :limit::bigint)
    LIMIT :limit::bigint`),
);

/** A missing id does not matter to a backend that does not need it. */
const IS_FIT = `run.status = 'RUNNING'
  AND ${IS_DUE} IS NOT TRUE
  AND (NOT :needsSandboxId::boolean OR run.sandbox_id <> '')
  AND (NOT :needsBashCommandId::boolean OR run.bash_command_id <> '')
  AND coalesce(${counted("presumed_times")} + ${counted("unknown_times")}
    + ${counted("error_times")}, 0) = 0`;

/** @param row nobody else's: it becomes the snapshot. */
export function toSnapshot(row: SnapshotRow): RunSnapshot {
  const { suspicion } = row;
  return Object.assign(row, {
    statusDetail: parseJson(row.statusDetail),
    suspicion: suspicion && {
      ...suspicion,
      sincePresumedMs: toMillis(suspicion.sincePresumedMs),
    },
  });
}

/** The host's column may hold anything json allows; what cannot be parsed counts as nothing. */
function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
