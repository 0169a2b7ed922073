import type { Pause } from "../../../rules/fleet/pause.ts";
import type { ApiThrottle } from "../../../watchdog/ports.ts";
import type { EpochRequest, Horizon, LeadershipView } from "../../../watchdog/store-ports.ts";
import { statement } from "../connection/statement.ts";
import { type Fenced, ISO_NOW } from "../sql.ts";

interface Begun extends Horizon, ApiThrottle {
  /** `null` when it was refused. */
  readonly epoch: number | null;
  readonly alreadySwept: boolean;
  readonly otherKind: boolean;
  readonly noted: string | null;
  /** `null` when it is not paused. */
  readonly pause: Pause | null;
}

/** Of a row of the table; an instant without an end, which only a hand can have written, is a very late one. */
const PAUSED_UNTIL = `least(greatest(paused_until, now() - interval '100 years'), now() + interval '100 years')`;

export const LAST_PAUSE = `CASE WHEN paused_until IS NOT NULL THEN json_build_object(
      'until', to_char(${PAUSED_UNTIL} AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
      'reason', coalesce(pause_reason, 'no reason was given'),
      'by', coalesce(paused_by, 'somebody'),
      'leftMs', ceil(extract(epoch FROM ${PAUSED_UNTIL} - now()) * 1000)) END`;

/**
 * The row is locked first, and everything a refusal depends on is computed from what is locked: the UPDATE and the
 * answer cannot disagree, whoever wrote the row a moment ago. Unknown counts as no.
 */
export const BEGIN = statement<Omit<EpochRequest, "holder">, Begun>(`
  WITH current AS (
    SELECT lease_kind,
      coalesce(:full::boolean AND :trigger::text = 'cron' AND sweep_finished_at IS NOT NULL
        AND sweep_started_at > now() - :intervalMs::float8 * interval '1 millisecond' / 2,
        false) AS already_swept,
      coalesce(lease_kind <> :leaseKind::text
        AND progressed_at > now() - :otherKindAfterMs::float8 * interval '1 millisecond',
        false) AS other_kind,
      coalesce(:leaseKind::text <> 'postgres'
        OR holder = :leaseValue::text AND lease_expires_at > now(),
        false) AS holds_lease,
      coalesce(paused_until > now(), false) AS paused,
      ${LAST_PAUSE} AS last_pause
    FROM watchdog.leadership
    FOR NO KEY UPDATE
  ), begun AS (
    UPDATE watchdog.leadership l
    SET epoch = l.epoch + 1,
      holder = :leaseValue::text,
      lease_kind = :leaseKind::text,
      lease_expires_at = CASE WHEN :leaseKind::text = 'postgres' THEN l.lease_expires_at END,
      sweep_trigger = CASE WHEN :full::boolean THEN :trigger::text ELSE l.sweep_trigger END,
      sweep_started_at = CASE WHEN :full::boolean THEN now() ELSE l.sweep_started_at END,
      sweep_finished_at = CASE WHEN :full::boolean THEN NULL ELSE l.sweep_finished_at END,
      progressed_at = CASE WHEN :full::boolean THEN now() ELSE l.progressed_at END
    FROM current
    WHERE NOT current.paused AND NOT current.already_swept AND NOT current.other_kind AND current.holds_lease
    RETURNING l.epoch, l.api_paused_until, l.api_concurrency
  )
  SELECT begun.epoch,
    ceil(greatest(0, extract(epoch FROM begun.api_paused_until - now()) * 1000)) AS "pausedForMs",
    begun.api_concurrency AS concurrency,
    ${ISO_NOW} AS text,
    extract(epoch FROM now()) * 1000 AS ms,
    current.already_swept AS "alreadySwept",
    current.other_kind AS "otherKind",
    current.lease_kind AS noted,
    CASE WHEN current.paused THEN current.last_pause END AS pause
  FROM current LEFT JOIN begun ON true`);

type LeadershipRow = Omit<LeadershipView, "leaseKind"> & { readonly leaseKind: string | null };

export const READ = statement<Record<never, never>, LeadershipRow>(`
  SELECT installation, epoch, holder,
    lease_kind AS "leaseKind",
    to_json(sweep_started_at) #>> '{}' AS "sweepStartedAt",
    to_json(sweep_finished_at) #>> '{}' AS "sweepFinishedAt",
    extract(epoch FROM now() - progressed_at) * 1000 AS "sinceProgressMs",
    extract(epoch FROM now() - sweep_finished_at) * 1000 AS "sinceFinishMs",
    last_report ->> 'status' AS "lastStatus",
    ${LAST_PAUSE} AS "lastPause",
    ${ISO_NOW} AS "readAt"
  FROM watchdog.leadership`);

/** Also tells where there is no row, and where there is no such table. */
export const HORIZON = statement<Record<never, never>, Horizon & { readonly hasRow: boolean }>(`
  SELECT ${ISO_NOW} AS text, extract(epoch FROM now()) * 1000 AS ms,
    leadership.epoch IS NOT NULL AS "hasRow"
  FROM (VALUES (1)) AS one LEFT JOIN watchdog.leadership ON true`);

interface ProgressParams extends ApiThrottle, Fenced {
  /** JSON, when the sweep has ended. */
  readonly report: string | null;
}

/** What the shared API asked for goes with it: a new leader keeps to that. */
export const PROGRESS = statement<ProgressParams, { readonly epoch: number }>(`
  UPDATE watchdog.leadership
  SET progressed_at = now(),
    sweep_finished_at = CASE WHEN :report::text IS NULL THEN sweep_finished_at ELSE now() END,
    last_report = coalesce(:report::text::jsonb, last_report),
    api_paused_until = CASE WHEN :pausedForMs::float8 > 0
      THEN now() + :pausedForMs::float8 * interval '1 millisecond' END,
    api_concurrency = :concurrency::int
  WHERE epoch = :epoch::bigint
  RETURNING epoch`);

export const CLEAR_LEASE_KIND = statement<Fenced, object>(`
  UPDATE watchdog.leadership SET lease_kind = NULL WHERE epoch = :epoch::bigint`);
