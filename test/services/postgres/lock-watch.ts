/** Looks into the database again and again: does a watchdog keep a transaction open, does anybody wait for it? */
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";

export interface LockWatchOptions {
  /** How long to wait between two looks. */
  readonly everyMs?: number;
  /** Whose sessions are watched, by `application_name`. */
  readonly application?: string;
  /** How long a transaction that is at work all the time may keep others waiting. */
  readonly longestMs?: number;
}

export interface LockFigures {
  readonly samples: number;
  /** Samples in which a watched session was idle in transaction. */
  readonly idleInTransaction: number;
  /**
   * Writers that waited in two samples in a row for a watched session that was not at work (between two statements,
   * behind another lock, waiting for its client), or whose transaction had gone on for longer than a statement takes on
   * any machine.
   */
  readonly blockedWriters: number;
}

const LONGEST_MS = 5000;

export class LockWatch implements AsyncDisposable {
  readonly #sql: Sql;
  readonly #everyMs: number;
  readonly #application: string;
  readonly #longestMs: number;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  #figures: LockFigures = { samples: 0, idleInTransaction: 0, blockedWriters: 0 };

  constructor(databaseUrl: string, options: LockWatchOptions = {}) {
    // Not under the name of those that are watched.
    const connection = { application_name: "lock-watch" };
    this.#sql = postgres(databaseUrl, { max: 1, fetch_types: false, connection });
    this.#everyMs = options.everyMs ?? 25;
    this.#application = options.application ?? "run-watchdog";
    this.#longestMs = options.longestMs ?? LONGEST_MS;
    this.#watching = this.#watch();
    // `end` throws it.
    this.#watching.catch(() => undefined);
  }

  /** So far. */
  get figures(): LockFigures {
    return this.#figures;
  }

  /** Ends the looking. */
  async end(): Promise<LockFigures> {
    this.#stop.abort();
    await this.#watching;
    return this.#figures;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching.catch(() => undefined);
    await this.#sql.end({ timeout: 1 });
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    let before: readonly number[] = [];
    while (!signal.aborted) {
      const { idle, blocked } = await this.#look();
      const stillBlocked = blocked.filter((pid) => before.includes(pid));
      before = blocked;
      this.#figures = {
        samples: this.#figures.samples + 1,
        idleInTransaction: this.#figures.idleInTransaction + (idle > 0 ? 1 : 0),
        blockedWriters: this.#figures.blockedWriters + stillBlocked.length,
      };
      await sleep(this.#everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<{ readonly idle: number; readonly blocked: readonly number[] }> {
    const rows = await this.#sql<{ readonly pid: number; readonly idle: boolean }[]>`
      SELECT s.pid, s.application_name = ${this.#application} AS idle
      FROM pg_stat_activity s
      WHERE s.datname = current_database() AND (
        (s.application_name = ${this.#application} AND s.state LIKE 'idle in transaction%')
         OR (s.application_name <> ${this.#application} AND s.wait_event_type = 'Lock' AND EXISTS (
              SELECT FROM pg_stat_activity w
              WHERE w.pid = ANY (pg_blocking_pids(s.pid)) AND w.application_name = ${this.#application}
                AND (w.state <> 'active' OR w.wait_event_type IN ('Lock', 'Client')
                  OR clock_timestamp() - w.xact_start > ${this.#longestMs} * interval '1 ms'))))`;
    return {
      idle: rows.filter((row) => row.idle).length,
      blocked: rows.filter((row) => !row.idle).map((row) => row.pid),
    };
  }
}
