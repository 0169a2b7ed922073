import type { FleetFacts, FleetState, HostWatchdogFacts } from "../../../rules/doctor/fleet.ts";
import { PRESUMED_PREFIX } from "../../../rules/wording.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";
import { PostgresFleet } from "../fleet/fleet.ts";

const STATE = statement<Record<never, never>, FleetState>(`
  SELECT installation::text AS installation,
    lease_kind AS "leaseKind",
    extract(epoch FROM now() - progressed_at) * 1000 AS "sinceProgressMs",
    extract(epoch FROM now() - sweep_finished_at) * 1000 AS "sinceFinishMs",
    extract(epoch FROM paused_until - now()) * 1000 AS "pausedForMs"
  FROM watchdog.leadership`);

/** @throws StoreUnavailableError, StoreSchemaError. */
export async function readFleet(database: Database): Promise<FleetFacts> {
  const [state] = await database.query("reading the leadership row", STATE, {});
  const workers = await new PostgresFleet(database).workers();
  return { state: state ?? null, workers };
}

/** By the index on status and creation: how many runs a host has ended in its life does not matter. */
const ENDED_ELSEWHERE = statement<Record<never, never>, HostWatchdogFacts>(`
  SELECT count(*) AS count, extract(epoch FROM now() - max(run.completed_at)) * 1000 AS "sinceLastMs"
  FROM automation_runs AS run
  WHERE run.status = 'FAILED'
    AND run.created_at > now() - interval '2 days'
    AND run.completed_at > now() - interval '1 day'
    AND run.error_detail LIKE '${PRESUMED_PREFIX}%'
    AND NOT EXISTS (SELECT FROM watchdog.verdicts AS v WHERE v.run_id = run.id)`);

/**
 * Runs of the last day that somebody else has ended as timed out.
 *
 * @throws StoreUnavailableError, StoreSchemaError.
 */
export async function readEndedElsewhere(database: Database): Promise<HostWatchdogFacts> {
  const [row] = await database.query("counting runs ended elsewhere", ENDED_ELSEWHERE, {});
  return row ?? { count: 0, sinceLastMs: null };
}
