/** Looks at the server's own view of connections as fast as it answers, for as long as something else goes on. */
import type { Sql } from "postgres";

const NAME = "run-watchdog";

export interface LockFigures {
  readonly samples: number;
  /** Samples in which a connection of the worker's sat idle in a transaction. */
  readonly idleInTransaction: number;
  /** The most consecutive samples in which the same writer waited for a connection of the worker's. */
  readonly longestBlock: number;
}

export interface LockSampler {
  readonly figures: LockFigures;
  /** Settles when `count` more samples have been taken. */
  more(count: number): Promise<void>;
  stop(): Promise<LockFigures>;
}

/** @param name the `application_name` that is watched. */
export function sampleLocks(sql: Sql, name: string = NAME): LockSampler {
  let samples = 0;
  let idleInTransaction = 0;
  let longestBlock = 0;
  let stopped = false;
  let blocked = new Map<number, number>();
  const waiting = new Set<{ readonly until: number; readonly resolve: () => void }>();

  async function loop(): Promise<void> {
    while (!stopped) {
      const rows = await sql<{ readonly pid: number; readonly what: "idle" | "blocked" }[]>`
        SELECT pid, 'idle' AS what FROM pg_stat_activity
        WHERE application_name = ${name} AND datname = current_database()
          AND state LIKE 'idle in transaction%'
        UNION ALL
        SELECT waiter.pid, 'blocked' FROM pg_stat_activity waiter
        WHERE waiter.datname = current_database() AND waiter.wait_event_type = 'Lock'
          AND EXISTS (SELECT FROM unnest(pg_blocking_pids(waiter.pid)) b
                      JOIN pg_stat_activity holder ON holder.pid = b
                      WHERE holder.application_name = ${name})`;
      samples += 1;
      if (rows.some(({ what }) => what === "idle")) idleInTransaction += 1;
      const now = rows.filter(({ what }) => what === "blocked").map(({ pid }) => pid);
      blocked = new Map(now.map((pid) => [pid, (blocked.get(pid) ?? 0) + 1]));
      longestBlock = Math.max(longestBlock, ...blocked.values());
      for (const waiter of waiting) {
        if (samples < waiter.until) continue;
        waiting.delete(waiter);
        waiter.resolve();
      }
    }
  }

  const looping = loop();
  const figures = () => ({ samples, idleInTransaction, longestBlock });
  return {
    get figures() {
      return figures();
    },
    more(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add({ until: samples + count, resolve });
      return Promise.race([promise, looping]);
    },
    async stop() {
      stopped = true;
      await looping;
      return figures();
    },
  };
}
