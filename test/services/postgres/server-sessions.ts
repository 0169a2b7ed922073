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

/**
 * Ends the watchdog's sessions in this database that may have begun under what held before this call, and waits for
 * their ends. A session that is just being let in reads its settings before `pg_stat_activity` lists it, and locks
 * its database meanwhile: those are waited for, too.
 */
export async function endWatchdogSessions(sql: Sql): Promise<void> {
  const [call] = await sql<{ readonly at: string }[]>`SELECT clock_timestamp()::text AS at`;
  for (;;) {
    const letIn = await sql`
      SELECT FROM pg_locks
      WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND pid <> pg_backend_pid()
        AND objid = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    const ended = await sql`
      SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'run-watchdog'
        AND backend_start <= ${call?.at ?? ""}::timestamptz`;
    if (letIn.length + ended.length === 0) return;
  }
}
