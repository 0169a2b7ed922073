import type { Pause } from "../../../rules/fleet/pause.ts";
import type {
  PauseRequest,
  SeenWorker,
  WorkerIntroduction,
} from "../../../watchdog/fleet-ports.ts";
import { statement } from "../connection/statement.ts";
import { LAST_PAUSE } from "../leadership/leadership-statements.ts";
import { FENCE, type Fenced } from "../sql.ts";

interface Paused {
  readonly pause: Pause;
}

/** The epoch is the fence of every write: with a newer one, nothing of a sweep under way is written any more. */
export const PAUSE = statement<PauseRequest, Paused>(`
  WITH paused AS (
    UPDATE watchdog.leadership
    SET paused_until = now() + :forMs::float8 * interval '1 millisecond',
      pause_reason = :reason::text,
      paused_by = :by::text,
      epoch = epoch + 1
    RETURNING paused_until, pause_reason, paused_by
  ), fenced AS (
    UPDATE watchdog.shards SET epoch = epoch + 1 FROM paused
  ), noted AS (
    INSERT INTO watchdog.pauses (at, until, reason, by)
    SELECT now(), paused_until, pause_reason, paused_by FROM paused
  )
  SELECT ${LAST_PAUSE} AS pause FROM paused`);

/** The row keeps when the pause ended: until then nobody could have swept. */
export const RESUME = statement<{ readonly by: string }, Paused>(`
  WITH current AS (
    SELECT single, ${LAST_PAUSE} AS pause
    FROM watchdog.leadership
    WHERE paused_until > now()
    FOR NO KEY UPDATE
  ), resumed AS (
    UPDATE watchdog.leadership l SET paused_until = now()
    FROM current WHERE l.single = current.single
    RETURNING current.pause
  ), noted AS (
    INSERT INTO watchdog.pauses (at, by) SELECT now(), :by::text FROM resumed
  )
  SELECT pause FROM resumed`);

export const SEEN = statement<WorkerIntroduction, object>(`
  INSERT INTO watchdog.workers (holder, version, fingerprint, lease_kind, shards, started_at, seen_at)
  VALUES (:holder::text, :version::text, :fingerprint::text, :leaseKind::text, :shards::smallint,
    now() - :upMs::float8 * interval '1 millisecond', now())
  ON CONFLICT (holder) DO UPDATE
  SET version = excluded.version,
    fingerprint = excluded.fingerprint,
    lease_kind = excluded.lease_kind,
    shards = excluded.shards,
    seen_at = excluded.seen_at`);

export const LEFT = statement<{ readonly holder: string }, object>(`
  DELETE FROM watchdog.workers WHERE holder = :holder::text`);

type WorkerRow = Omit<SeenWorker, "leaseKind"> & { readonly leaseKind: string };

export const WORKERS = statement<Record<never, never>, WorkerRow>(`
  SELECT holder, version, fingerprint, lease_kind AS "leaseKind", shards,
    extract(epoch FROM now() - started_at) * 1000 AS "upMs",
    extract(epoch FROM now() - seen_at) * 1000 AS "seenAgoMs"
  FROM watchdog.workers
  ORDER BY seen_at DESC, holder`);

interface ForgetParams extends Fenced {
  readonly notSeenForMs: number;
}

export const FORGET_WORKERS = statement<ForgetParams, { readonly holder: string }>(`
  DELETE FROM watchdog.workers
  WHERE seen_at < now() - :notSeenForMs::float8 * interval '1 millisecond' AND ${FENCE}
  RETURNING holder`);
