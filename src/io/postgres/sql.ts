import { PRESUMED_PREFIX } from "../../rules/wording.ts";

/** The fence of a write: no newer epoch has been handed out. Its statement has the parameter `epoch`. */
export const FENCE = "(SELECT epoch FROM watchdog.leadership) = :epoch::bigint";

export interface Fenced {
  readonly epoch: number;
}

/** The database's clock as ISO 8601 in UTC with microseconds, as the host writes its own timestamps. */
export const ISO_NOW = `to_char(now() AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')`;

/** Of a `run`. */
export const HAS_ENDED = "run.status IN ('COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED')";

/** Of a `run`, as a presumption of ours leaves it: nobody has changed its end since. */
export const IS_PRESUMED_DEAD = `run.status = 'FAILED' AND run.error_detail LIKE '${PRESUMED_PREFIX}%'`;

/** No row's id; every other comes after it. */
export const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** Whole milliseconds of a duration; a clock that was set back does not make it negative. */
export function toMillis(ms: number | null): number | null {
  return ms === null ? null : Math.max(0, Math.trunc(ms));
}
