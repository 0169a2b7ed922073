/** A primary whose commits wait for a standby that is not there. */
import { vi } from "vitest";
import type { EmbeddedPostgres } from "./embedded-postgres.ts";
import { openAdmin } from "./server-sessions.ts";

/** Every commit that wrote something waits, until this is disposed of. */
export async function loseStandby(server: EmbeddedPostgres): Promise<AsyncDisposable> {
  await using admin = openAdmin(server.url());
  await admin.sql`ALTER SYSTEM SET synchronous_standby_names = 'lost'`;
  await reload("lost");
  return {
    async [Symbol.asyncDispose]() {
      await using again = openAdmin(server.url());
      await again.sql`ALTER SYSTEM RESET synchronous_standby_names`;
      await again.sql`SELECT pg_reload_conf()`;
    },
  };

  async function reload(wanted: string): Promise<void> {
    const { sql } = admin;
    await sql`SELECT pg_reload_conf()`;
    await vi.waitFor(async () => {
      const [row] = await sql`SELECT current_setting('synchronous_standby_names') AS names`;
      if (row?.["names"] !== wanted) throw new Error("not reloaded yet");
    }, 20_000);
  }
}
