/** The worker's sessions as the server sees them. */
import postgres, { type Sql } from "postgres";

export interface Admin extends AsyncDisposable {
  readonly sql: Sql;
}

export function openAdmin(url: string): Admin {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => undefined });
  return { sql, [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }) };
}

export interface SessionCount extends AsyncDisposable {
  now(): Promise<number>;
  /** The most there were at once while somebody looked. */
  readonly most: number;
}

/** Looks again and again how many sessions there are in the database, the test's own apart. */
export async function countSessions(url: string): Promise<SessionCount> {
  const admin = openAdmin(url);
  let most = 0;
  let done = false;
  async function now(): Promise<number> {
    const rows = await admin.sql`
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND backend_type = 'client backend'
        AND application_name <> 'postgres.js'`;
    most = Math.max(most, rows.length);
    return rows.length;
  }
  const looking = (async () => {
    while (!done) {
      await now();
      await admin.sql`SELECT pg_sleep(0.02)`;
    }
  })();
  return {
    now,
    get most() {
      return most;
    },
    async [Symbol.asyncDispose]() {
      done = true;
      await looking;
      await admin[Symbol.asyncDispose]();
    },
  };
}
