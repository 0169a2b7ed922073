import type { Pause } from "../../../rules/fleet/pause.ts";
import type { ApiThrottle } from "../../../watchdog/ports.ts";
import type {
  EpochRequest,
  Horizon,
  LeadershipView,
  Leaving,
} from "../../../watchdog/store-ports.ts";
import { statement } from "../connection/statement.ts";
import { ISO_NOW, perShard, type ShardFenced } from "../sql.ts";

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

type BeginParams = Omit<EpochRequest, "holder" | "shards"> & {
  /** Kind of lease and number of shards. */
  readonly note: string;
};

const ALREADY_SWEPT = `coalesce(:full::boolean AND :trigger::text = 'cron' AND sweep_finished_at IS NOT NULL
        AND sweep_started_at > now() - :intervalMs::float8 * interval '1 millisecond' / 2,
        false) AS already_swept`;

const HOLDS_LEASE = `coalesce(:leaseKind::text <> 'postgres'
        OR holder = :leaseValue::text AND lease_expires_at > now(),
        false) AS holds_lease`;

const PAUSED = `coalesce(paused_until > now(), false) AS paused,
      ${LAST_PAUSE} AS last_pause`;

const BEGUN = `epoch = l.epoch + 1,
      holder = :leaseValue::text,
      lease_expires_at = CASE WHEN :leaseKind::text = 'postgres' THEN l.lease_expires_at END,
      sweep_trigger = CASE WHEN :full::boolean THEN :trigger::text ELSE l.sweep_trigger END,
      sweep_started_at = CASE WHEN :full::boolean THEN now() ELSE l.sweep_started_at END,
      sweep_finished_at = CASE WHEN :full::boolean THEN NULL ELSE l.sweep_finished_at END,
      progressed_at = CASE WHEN :full::boolean THEN now() ELSE l.progressed_at END`;

const ANSWER = `begun.epoch,
    ceil(greatest(0, extract(epoch FROM begun.api_paused_until - now()) * 1000)) AS "pausedForMs",
    begun.api_concurrency AS concurrency,
    ${ISO_NOW} AS text,
    extract(epoch FROM now()) * 1000 AS ms`;

/**
 * The row is locked first, and everything a refusal depends on is computed from what is locked: the UPDATE and the
 * answer cannot disagree, whoever wrote the row a moment ago. Unknown counts as no.
 *
 * With what is noted of the fleet everything changes: who leads another shard by the old division is fenced by the same
 * statement. So it is when all shards are taken at once, which leaves nothing of what they have reported.
 */
const BEGIN_FIRST = statement<BeginParams, Begun>(`
  WITH current AS (
    SELECT lease_kind,
      ${ALREADY_SWEPT},
      coalesce(lease_kind <> :note::text
        AND greatest(progressed_at, (SELECT max(progressed_at) FROM watchdog.shards))
          > now() - :otherKindAfterMs::float8 * interval '1 millisecond',
        false) AS other_kind,
      ${HOLDS_LEASE},
      ${PAUSED}
    FROM watchdog.leadership
    FOR NO KEY UPDATE
  ), begun AS (
    UPDATE watchdog.leadership l
    SET ${BEGUN},
      lease_kind = :note::text
    FROM current
    WHERE NOT current.paused AND NOT current.already_swept AND NOT current.other_kind AND current.holds_lease
    RETURNING l.epoch, l.api_paused_until, l.api_concurrency,
      :fencesAll::boolean OR current.lease_kind IS DISTINCT FROM :note::text AS fences_all
  ), fenced AS (
    UPDATE watchdog.shards s
    SET epoch = s.epoch + 1,
      last_report = CASE WHEN :full::boolean THEN NULL ELSE s.last_report END
    FROM begun
    WHERE begun.fences_all
  )
  SELECT ${ANSWER},
    current.already_swept AS "alreadySwept",
    current.other_kind AS "otherKind",
    current.lease_kind AS noted,
    CASE WHEN current.paused THEN current.last_pause END AS pause
  FROM current LEFT JOIN begun ON true`);

/**
 * As above. The leadership row comes first, as everywhere, and is locked against whoever pauses the fleet or divides the
 * runs anew at this moment.
 */
const BEGIN_OTHER = statement<BeginParams, Begun>(`
  WITH fleet AS (
    SELECT lease_kind, lease_kind IS DISTINCT FROM :note::text AS other_kind, ${PAUSED}
    FROM watchdog.leadership
    FOR SHARE
  ), current AS (
    SELECT fleet.lease_kind, fleet.other_kind, fleet.paused, fleet.last_pause,
      ${ALREADY_SWEPT},
      ${HOLDS_LEASE}
    FROM fleet JOIN watchdog.shards s ON s.shard = :shard::smallint
    FOR NO KEY UPDATE OF s
  ), begun AS (
    UPDATE watchdog.shards l
    SET ${BEGUN}
    FROM current
    WHERE l.shard = :shard::smallint
      AND NOT current.paused AND NOT current.already_swept AND NOT current.other_kind AND current.holds_lease
    RETURNING l.epoch, l.api_paused_until, l.api_concurrency
  )
  SELECT ${ANSWER},
    current.already_swept AS "alreadySwept",
    current.other_kind AS "otherKind",
    current.lease_kind AS noted,
    CASE WHEN current.paused THEN current.last_pause END AS pause
  FROM current LEFT JOIN begun ON true`);

export function BEGIN(shard: number): typeof BEGIN_FIRST {
  return shard === 0 ? BEGIN_FIRST : BEGIN_OTHER;
}

type LeadershipRow = Omit<LeadershipView, "leaseKind" | "shards"> & {
  readonly note: string | null;
};

const LEADERSHIP = "watchdog.leadership";
const OF_THE_FLEET = `(
    SELECT installation, lease_kind, paused_until, pause_reason, paused_by FROM ${LEADERSHIP}
  ) AS fleet`;

export const READ = perShard(({ table, isRow }) =>
  statement<{ readonly shard: number }, LeadershipRow>(`
  SELECT installation, epoch, holder,
    lease_kind AS note,
    to_json(sweep_started_at) #>> '{}' AS "sweepStartedAt",
    to_json(sweep_finished_at) #>> '{}' AS "sweepFinishedAt",
    extract(epoch FROM now() - progressed_at) * 1000 AS "sinceProgressMs",
    extract(epoch FROM now() - sweep_finished_at) * 1000 AS "sinceFinishMs",
    last_report ->> 'status' AS "lastStatus",
    ${LAST_PAUSE} AS "lastPause",
    ${ISO_NOW} AS "readAt"
  FROM ${table === LEADERSHIP ? table : `${OF_THE_FLEET} JOIN ${table} ON ${isRow}`}`),
);

/** Also tells where there is no row, and where there is no such table. */
export const HORIZON = statement<Record<never, never>, Horizon & { readonly hasRow: boolean }>(`
  SELECT ${ISO_NOW} AS text, extract(epoch FROM now()) * 1000 AS ms,
    leadership.epoch IS NOT NULL AS "hasRow"
  FROM (VALUES (1)) AS one LEFT JOIN watchdog.leadership ON true`);

interface ProgressParams extends ApiThrottle, ShardFenced {
  /** JSON, when the sweep has ended. */
  readonly report: string | null;
}

/** What the shared API asked for goes with it: a new leader keeps to that. */
export const PROGRESS = perShard(({ table, isRow }) =>
  statement<ProgressParams, { readonly epoch: number }>(`
  UPDATE ${table}
  SET progressed_at = now(),
    sweep_finished_at = CASE WHEN :report::text IS NULL THEN sweep_finished_at ELSE now() END,
    last_report = coalesce(:report::text::jsonb, last_report),
    api_paused_until = CASE WHEN :pausedForMs::float8 > 0
      THEN now() + :pausedForMs::float8 * interval '1 millisecond' END,
    api_concurrency = :concurrency::int
  WHERE ${isRow} AND epoch = :epoch::bigint
  RETURNING epoch`),
);

export const CLEAR_LEASE_KIND = statement<Pick<Leaving, "epoch">, object>(`
  UPDATE watchdog.leadership SET lease_kind = NULL WHERE epoch = :epoch::bigint`);

const IS_OURS = "starts_with(holder, :holder::text || '/')";

/** A shard without a holder is one whose last leader has left. */
export const LEAVE_SHARDS = statement<Pick<Leaving, "holder" | "othersWithinMs">, object>(`
  WITH left_behind AS (
    UPDATE watchdog.shards SET holder = NULL WHERE ${IS_OURS}
  )
  UPDATE watchdog.leadership
  SET holder = NULL,
    lease_kind = CASE WHEN EXISTS (
        SELECT FROM watchdog.shards
        WHERE NOT ${IS_OURS}
          AND progressed_at > now() - :othersWithinMs::float8 * interval '1 millisecond')
      THEN lease_kind END
  WHERE holder IS NULL OR ${IS_OURS}`);
