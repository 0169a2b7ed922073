import type { ServerFacts } from "../../../rules/doctor/postgres.ts";
import { statement } from "../connection/statement.ts";
import type { Database } from "../database.ts";

interface ServerRow extends Omit<ServerFacts, "isPooled" | "clock"> {
  readonly nowMs: number;
}

/** `clock_timestamp()`, because `now()` is from when the statement came in. */
const SERVER = statement<Record<never, never>, ServerRow>(`
  SELECT current_setting('server_version') AS version,
    current_user::text AS "user",
    pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS "isReadOnly",
    extract(epoch FROM clock_timestamp()) * 1000 AS "nowMs"`);

/**
 * Who answers, and how. Needs no privilege.
 *
 * @param nowMs our own wall clock.
 * @throws StoreUnavailableError.
 */
export async function readServer(database: Database, nowMs: () => number): Promise<ServerFacts> {
  return await database.run("looking at the server", async (connection) => {
    const sentMs = nowMs();
    const [row] = await connection.query(SERVER, {});
    const receivedMs = nowMs();
    if (row === undefined) throw new Error("the server said nothing of itself");
    const { nowMs: theirMs, ...facts } = row;
    const clock = { theirMs, sentMs, receivedMs, precisionMs: 1 };
    return { ...facts, isPooled: connection.pooled, clock };
  });
}
