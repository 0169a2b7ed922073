/** Terminal writes that stop inside Postgres, after the UPDATE and before the commit, for as long as a test wants. */
import { vi } from "vitest";
import type { TestDatabase } from "../services/postgres/database.ts";

/** Of the advisory lock that they wait for. */
export const PAUSE_KEY = 4711;

export interface PausedCommits extends AsyncDisposable {
  /** Settles with the server processes that wait, when there are `count` of them. */
  waiting(count: number): Promise<readonly number[]>;
  /** Lets all of them commit, and those to come as well. */
  release(): Promise<void>;
}

export async function pauseCommits({ sql }: Pick<TestDatabase, "sql">): Promise<PausedCommits> {
  await sql.unsafe(`
    CREATE FUNCTION watchdog.pause() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${PAUSE_KEY}); RETURN NULL; END $$;
    CREATE TRIGGER pause AFTER INSERT ON watchdog.verdicts
      FOR EACH ROW EXECUTE FUNCTION watchdog.pause();`);
  const holder = await sql.reserve();
  await holder`SELECT pg_advisory_lock(${PAUSE_KEY})`;
  let released = false;
  async function release(): Promise<void> {
    if (released) return;
    released = true;
    await holder`SELECT pg_advisory_unlock(${PAUSE_KEY})`;
    holder.release();
  }
  return {
    release,
    waiting: (count) =>
      vi.waitFor(
        async () => {
          const rows = await sql<{ pid: number }[]>`
            SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objid = ${PAUSE_KEY} AND NOT l.granted
              AND d.datname = current_database()`;
          if (rows.length !== count) throw new Error(`${rows.length} writes wait, not ${count}`);
          return rows.map(({ pid }) => pid);
        },
        { timeout: 20_000, interval: 20 },
      ),
    [Symbol.asyncDispose]: release,
  };
}
