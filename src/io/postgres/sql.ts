import { PRESUMED_PREFIX } from "../../rules/wording.ts";

/** The fence of a write: no newer epoch has been handed out. Its statement has the parameter `epoch`. */
export const FENCE = "(SELECT epoch FROM watchdog.leadership) = :epoch::bigint";

/** The fence of another shard than the first. Its statement has the parameter `shard` as well. */
const SHARD_FENCE =
  "(SELECT epoch FROM watchdog.shards WHERE shard = :shard::smallint) = :epoch::bigint";

export interface Fenced {
  readonly epoch: number;
}

/** Of a statement that the leader of any shard may send. */
export interface ShardFenced extends Fenced {
  readonly shard: number;
}

/**
 * For statements that look at the leadership row: the epoch of another shard means nothing there, although it may be the
 * same number.
 */
export function epochOfFirst({ shard, epoch }: ShardFenced): number {
  if (shard !== 0)
    throw new Error(`this is for the leader of the first shard, not of shard ${shard}`);
  return epoch;
}

/** What holds the epoch of a shard, the fence that looks there, and which of the rows it is. */
export interface EpochRow {
  readonly fence: string;
  readonly table: string;
  readonly isRow: string;
}

/**
 * Statements that differ between the first shard, whose epoch is in the leadership row, and all others. Whoever has but
 * one shard sends the texts of the first.
 */
export function perShard<T>(build: (row: EpochRow) => T): (of: { readonly shard: number }) => T {
  const first = build({ fence: FENCE, table: "watchdog.leadership", isRow: "true" });
  const other = build({
    fence: SHARD_FENCE,
    table: "watchdog.shards",
    isRow: "shard = :shard::smallint",
  });
  return ({ shard }) => (shard === 0 ? first : other);
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
