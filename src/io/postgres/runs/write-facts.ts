import type { RunSnapshot } from "../../../rules/model.ts";
import type { WriteFacts } from "../../../watchdog/store-ports.ts";
import { statement } from "../connection/statement.ts";
import { perShard, type ShardFenced } from "../sql.ts";

/** What a write repeats of what its verdict was based on. */
export interface GuardParams extends ShardFenced {
  readonly id: string;
  readonly timeoutAt: string | null;
  readonly sandboxId: string | null;
  readonly bashCommandId: string | null;
  readonly beganAt: string | null;
}

export function guardParams(run: RunSnapshot, { shard, epoch }: ShardFenced): GuardParams {
  const { id, timeoutAt, sandboxId, bashCommandId, beganAt } = run;
  return { id, timeoutAt, sandboxId, bashCommandId, beganAt, shard, epoch };
}

/** The guard is that of the writes, word for word. */
export const WRITE_FACTS = perShard(({ table, isRow }) =>
  statement<GuardParams, WriteFacts>(`
  SELECT
    -- Rows with the basis of the host are no verdicts of ours.
    EXISTS (SELECT FROM watchdog.verdicts
      WHERE run_id = :id::uuid AND shard = :shard::smallint AND epoch = :epoch::bigint
        AND basis <> 'host') AS journaled,
    led.epoch = :epoch::bigint AS "epochIsOurs",
    EXISTS (SELECT FROM automation_runs
      WHERE id = :id::uuid
        AND status = 'RUNNING'
        AND timeout_at IS NOT DISTINCT FROM :timeoutAt::text::timestamptz
        AND sandbox_id IS NOT DISTINCT FROM :sandboxId::text
        AND bash_command_id IS NOT DISTINCT FROM :bashCommandId::text
        AND coalesce(started_at, created_at) IS NOT DISTINCT FROM :beganAt::text::timestamptz
    ) AS "rowMatches"
  FROM ${table} AS led
  WHERE ${isRow}`),
);
