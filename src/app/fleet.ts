/** What people ask of, and say to, all workers at once: through the database alone. */
import type { DatabaseConfig } from "../config/database.ts";
import { systemClock } from "../io/clock.ts";
import type { Database } from "../io/postgres/database.ts";
import { readGrantedPlace } from "../io/postgres/diagnosis/granted-place.ts";
import { PostgresFleet } from "../io/postgres/fleet/fleet.ts";
import { readFleetDetails, readShards } from "../io/postgres/fleet/fleet-view.ts";
import { PostgresLeadership } from "../io/postgres/leadership/leadership.ts";
import { PostgresRunStore } from "../io/postgres/runs/run-store.ts";
import { cronSchedule } from "../io/schedule.ts";
import { skewMs } from "../rules/clock-skew.ts";
import type { GrantedPlace } from "../rules/doctor/privileges.ts";
import { MISSED_TICKS } from "../rules/health.ts";
import type { FleetView } from "../rules/status/fleet-status.ts";
import type { Fleet } from "../watchdog/fleet-ports.ts";
import type { Log } from "../watchdog/ports.ts";
import { openDatabase } from "./postgres.ts";
import { untilStopped } from "./until-stopped.ts";

const CLOSE_WITHIN_MS = 1000;
const HELD_SHOWN = 10;

/** Connects with the first statement. */
export function openFleet(
  config: DatabaseConfig,
): Pick<Fleet, "pause" | "resume"> & AsyncDisposable {
  const database = openDatabase(config, 1, SILENT);
  return Object.assign(new PostgresFleet(database), {
    [Symbol.asyncDispose]: () => database.close(CLOSE_WITHIN_MS),
  });
}

/**
 * Needs SELECT on the tables and nothing else; writes nothing.
 *
 * @throws StoreUnavailableError, StoreSchemaError, `signal.reason`.
 */
export async function readFleetView(
  config: DatabaseConfig,
  signal: AbortSignal,
): Promise<FleetView> {
  await using resources = new AsyncDisposableStack();
  const database = openDatabase(config, 1, SILENT, "read");
  resources.defer(() => database.close(0));
  return await untilStopped(fleetViewOf(database), signal);
}

/**
 * What a new worker's user is to be granted on; `null` where the host's tables are not found.
 *
 * @throws StoreUnavailableError, `signal.reason`.
 */
export async function readPlaceOfGrants(
  config: DatabaseConfig,
  signal: AbortSignal,
): Promise<GrantedPlace | null> {
  await using resources = new AsyncDisposableStack();
  const database = openDatabase(config, 1, SILENT, "read");
  resources.defer(() => database.close(0));
  return await untilStopped(readGrantedPlace(database), signal);
}

async function fleetViewOf(database: Database): Promise<FleetView> {
  const details = await readFleetDetails(database, HELD_SHOWN);
  const sentMs = systemClock.now().getTime();
  const leadership = await new PostgresLeadership(database).read();
  const receivedMs = systemClock.now().getTime();
  const { readAt, epoch, holder, leaseKind, sinceProgressMs, lastPause } = leadership;
  const { shards: count } = leadership;
  const shards = count === 1 ? {} : { shards: await readShards(database, count) };
  const waiting = await new PostgresRunStore(database).waiting();
  const workers = await new PostgresFleet(database).workers();
  const theirMs = Date.parse(readAt);
  const clockSkewMs = skewMs({ theirMs, sentMs, receivedMs, precisionMs: 1 });
  const of = { clockSkewMs, readAt, epoch, leader: holder, leaseKind, sinceProgressMs, lastPause };
  return { ...of, ...details, ...shards, waiting, workers };
}

/** How long ago the tick was after which somebody has to look when nobody has swept since. */
export function patienceMs(pattern: string): number {
  return cronSchedule(pattern, systemClock).sinceTickMs(MISSED_TICKS);
}

/** What is wrong is in the answer or in the error. */
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };
