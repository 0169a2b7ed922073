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
      extract(epoch FROM least(${counted("first_deadline_at")}, ${DEADLINE})) * 1000
        AS "firstDeadlineMs",
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
      ${ISO_NOW} AS "readAt"
    FROM automation_runs AS run
    LEFT JOIN automations ON automations.id = run.automation_id
    LEFT JOIN watchdog.suspicions AS s ON s.run_id = run.id`;
}

const HAS_TEMPLATE = `(automations.preset_metadata::text LIKE '%"template"%') IS TRUE`;

export const READ = perShape((host: HostColumns) =>
  statement<QueryParams & { readonly id: string }, SnapshotRow>(`${snapshot(host)}
    WHERE run.id = :id::uuid`),
);

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

export function toSnapshot({ statusDetail, suspicion, ...row }: SnapshotRow): RunSnapshot {
  return {
    ...row,
    statusDetail: parseJson(statusDetail),
    suspicion: suspicion && {
      ...suspicion,
      sincePresumedMs: toMillis(suspicion.sincePresumedMs),
    },
  };
}

/** The host's column may hold anything json allows; what cannot be parsed counts as nothing. */
function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
