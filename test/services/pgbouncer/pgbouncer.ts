/** A PgBouncer of a test's own, and what is to be said about the server sessions behind it. */
import postgres from "postgres";
import { inject } from "vitest";
import type { TestDatabase } from "../postgres/database.ts";
import { PgBouncer } from "./server.ts";
import "../provided.ts";

/** Without one the set-up of the test run says so, and a scripted gate plays the poolers. */
export const HAS_PGBOUNCER = inject("pgbouncerProgram") !== null;

export interface SharedSession {
  readonly pid: number;
  /** Everything that would outlast a transaction in it, by name: empty when there is nothing. */
  readonly leftBehind: readonly string[];
}

export async function startPgBouncer(
  settings: Readonly<Record<string, string>> = {},
): Promise<PgBouncer> {
  const program = inject("pgbouncerProgram");
  if (program === null) throw new Error("this machine has no pgbouncer");
  return PgBouncer.start(program, { upstream: inject("postgresUrl"), settings });
}

/** Looks into a server session by way of the pooler, as its next client. */
export async function lookIntoSession(
  pooler: PgBouncer,
  { url }: Pick<TestDatabase, "url">,
): Promise<SharedSession> {
  const sql = postgres(pooler.url(url), {
    ...{ max: 1, prepare: false, fetch_types: false },
    connection: { application_name: "looking into a session" },
  });
  try {
    const [row] = await sql<{ pid: number; left: string[] | null }[]>`
      SELECT pg_backend_pid() AS pid, to_jsonb(ARRAY(
        SELECT 'statement ' || name FROM pg_prepared_statements
        UNION ALL SELECT 'channel ' || c FROM pg_listening_channels() c
        UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
        UNION ALL SELECT 'lock ' || locktype || ' ' || mode FROM pg_locks
          WHERE pid = pg_backend_pid() AND locktype = 'advisory'
        UNION ALL SELECT 'table ' || relname FROM pg_class
          WHERE relnamespace = pg_my_temp_schema()
        -- These PgBouncer itself puts in order for each client.
        UNION ALL SELECT 'setting ' || name FROM pg_settings
          WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding',
            'DateStyle', 'TimeZone', 'standard_conforming_strings'))) AS left`;
    return { pid: row?.pid ?? 0, leftBehind: row?.left ?? [] };
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** How many clients of a database wait for a server session, as PgBouncer counts them. */
export async function waitingClients(pooler: PgBouncer, database: string): Promise<number> {
  const console = new URL(pooler.url(inject("postgresUrl")));
  console.pathname = "/pgbouncer";
  const sql = postgres(console.href, { max: 1, prepare: false, fetch_types: false });
  try {
    const pools = await sql.unsafe("SHOW POOLS").simple();
    const counts = pools.filter((row) => row["database"] === database);
    return counts.reduce((sum, row) => sum + Number(row["cl_waiting"]), 0);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
