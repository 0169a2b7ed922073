import { setImmediate as nextTurn } from "node:timers/promises";
import type { Sql } from "postgres";
import type { Clock } from "../../../src/watchdog/ports.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** Of a test. Nothing is waited for, but hours of sweeps take their time on a busy machine. */
export const REPLAY_TIMEOUT_MS = 10 * MINUTE_MS;

/**
 * Time that passes without waiting. Nobody can set the clock of the database, which decides everything that is stored, so
 * whatever is stored moves into the past instead; the backend's clock moves ahead by the same.
 */
export class ReplayTime {
  readonly #sql: Sql;
  readonly #beganAtMs = performance.now();
  /** How far the replay is ahead of real time, and how much of that the stored times have been moved by. */
  #aheadMs = 0;
  #storedMs = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Since the replay's start. */
  get nowMs(): number {
    return performance.now() + this.#aheadMs - this.#beganAtMs;
  }

  /** For the backend. Whoever sleeps by it takes everybody along to the end of the sleep, at once. */
  readonly clock: Clock = {
    now: () => new Date(),
    monotonicMs: () => performance.now() + this.#aheadMs,
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      const untilMs = this.nowMs + ms;
      await nextTurn();
      signal.throwIfAborted();
      this.#aheadMs += Math.max(0, untilMs - this.nowMs);
    },
    after: (ms, fire) => {
      const cancelled = new AbortController();
      this.clock.sleep(ms, cancelled.signal).then(fire, () => {});
      return () => cancelled.abort();
    },
  };

  /** Not to be used while a sweep is under way. */
  async passUntil(untilMs: number): Promise<void> {
    this.#aheadMs += Math.max(0, untilMs - this.nowMs);
    const byMs = this.#aheadMs - this.#storedMs;
    this.#storedMs = this.#aheadMs;
    for (const { table, moved } of await this.#instants()) {
      await this.#sql.unsafe(`UPDATE ${table} SET ${moved}`, [byMs]);
    }
  }

  /** The host's runs and the worker's own tables, whatever columns they have. */
  #instants() {
    const moved = "%1$I = %1$I - $1::float8 * interval '1 millisecond'";
    return this.#sql<{ readonly table: string; readonly moved: string }[]>`
      SELECT format('%I.%I', table_schema, table_name) AS table,
             string_agg(format(${moved}::text, column_name), ', ') AS moved
      FROM information_schema.columns
      WHERE data_type = 'timestamp with time zone'
        AND (table_schema = 'watchdog' OR table_schema = 'public' AND table_name = 'automation_runs')
      GROUP BY 1`;
  }
}
