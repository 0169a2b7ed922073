/** A server whose new databases are not UTF-8. */
import postgres from "postgres";
import type { EmbeddedPostgres } from "./embedded-postgres.ts";

/** From now on databases are created with this encoding, by whoever creates them. */
export async function encodeNewDatabases(
  server: EmbeddedPostgres,
  encoding: string,
): Promise<void> {
  const admin = postgres(server.url(), { max: 1, fetch_types: false });
  try {
    await admin`UPDATE pg_database SET datistemplate = false WHERE datname = 'template1'`;
    await admin`DROP DATABASE template1`;
    await admin.unsafe(
      `CREATE DATABASE template1 IS_TEMPLATE true ENCODING '${encoding}' LOCALE 'C' TEMPLATE template0`,
    );
  } finally {
    await admin.end({ timeout: 5 });
  }
}
