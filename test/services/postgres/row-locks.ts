/** How long an application's transactions kept what they had written locked. */
import { setTimeout as sleep } from "node:timers/promises";
import postgres, { type Sql } from "postgres";

const LOOK_EVERY_MS = 5;

interface Seen {
  readonly firstMs: number;
  readonly lastMs: number;
}

/**
 * Looks again and again which of its sessions have a transaction that has written: a row stays locked until its end. A
 * time counts from the first look that met a transaction to the last one, so shorter ones than two looks count as 0.
 */
export class RowLocks implements AsyncDisposable {
  readonly #sql: Sql;
  readonly #application: string;
  readonly #stop = new AbortController();
  readonly #seen = new Map<string, Seen>();
  readonly #watching: Promise<void>;
  #looks = 0;
  #news = Promise.withResolvers<void>();

  constructor(databaseUrl: string, application: string) {
    const connection = { application_name: "row-locks" };
    this.#sql = postgres(databaseUrl, { max: 1, fetch_types: false, connection });
    this.#application = application;
    this.#watching = this.#watch();
    // `end` throws it.
    this.#watching.catch(() => undefined);
  }

  /** Settles when it has looked so many times from its beginning to its end. */
  async looked(times: number): Promise<void> {
    // A look that is under way may have begun earlier.
    const until = this.#looks + times + 1;
    while (this.#looks < until) await this.#news.promise;
  }

  /** Ends the looking. @returns milliseconds. */
  async end(): Promise<number> {
    this.#stop.abort();
    await this.#watching;
    return Math.max(0, ...[...this.#seen.values()].map(({ firstMs, lastMs }) => lastMs - firstMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching.catch(() => undefined);
    await this.#sql.end({ timeout: 1 });
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const rows = await this.#sql<{ readonly name: string; readonly ms: number }[]>`
        SELECT pid || '/' || backend_xid AS name,
          extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms
        FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = ${this.#application}
          AND backend_xid IS NOT NULL`;
      for (const { name, ms } of rows) {
        this.#seen.set(name, { firstMs: this.#seen.get(name)?.firstMs ?? ms, lastMs: ms });
      }
      this.#looks += 1;
      this.#news.resolve();
      this.#news = Promise.withResolvers();
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}
