import type { Config } from "../config/config.ts";
import { PostgresLease } from "../io/postgres/leadership/lease.ts";
import { RedisLease } from "../io/redis/lease.ts";
import type { Lease, Log } from "../watchdog/ports.ts";
import { openDatabase } from "./postgres.ts";

const COMMAND_TIMEOUT_MS = 2000;
const CLOSE_WITHIN_MS = 1000;

/** Redis when there is one, else the leadership row, on a connection of its own. Connects with the first call. */
export function openLease(config: Config, log: Log): Lease & AsyncDisposable {
  const { redis } = config;
  if (redis === null) {
    const database = openDatabase(config.database, 1, log);
    return Object.assign(new PostgresLease(database), {
      [Symbol.asyncDispose]: () => database.close(CLOSE_WITHIN_MS),
    });
  }
  // Shorter than the distance of renewals: a command that hangs must not eat up the trust.
  const commandTimeoutMs = Math.min(COMMAND_TIMEOUT_MS, config.lease.renewMs);
  return new RedisLease(() => ({
    ...redis.refresh(log),
    commandTimeoutMs,
    connectTimeoutMs: commandTimeoutMs,
    log,
  }));
}
