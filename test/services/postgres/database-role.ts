/** A database user with rights of its own, for one test. */
import { randomBytes } from "node:crypto";
import type { ConnectionOptions } from "../../../src/io/postgres/connection/session.ts";
import type { TestDatabase } from "./database.ts";

export interface TestRole extends AsyncDisposable {
  readonly name: string;
  readonly password: string;
  /** The test's database, as this user. */
  readonly connection: ConnectionOptions;
  /** The same as a URL. */
  readonly url: string;
}

/** What the worker needs to work, and nothing else. */
export const WORKER_GRANTS = [
  "SELECT ON automation_runs, automations TO",
  "UPDATE (status, error_detail, completed_at, timeout_at, status_detail, sandbox_cleanup_due_at) ON automation_runs TO",
  "UPDATE (preset_metadata, updated_at) ON automations TO",
  "USAGE ON SCHEMA watchdog TO",
  "SELECT, UPDATE ON watchdog.leadership, watchdog.shards TO",
  "SELECT, INSERT, UPDATE, DELETE ON watchdog.suspicions, watchdog.verdicts, watchdog.workers TO",
];

/** What whoever only looks needs: of the host's tables, and of our own where there are any. */
export const READER_GRANTS = ["SELECT ON automation_runs, automations TO"];
export const MEMORY_GRANTS = [
  "USAGE ON SCHEMA watchdog TO",
  "SELECT ON ALL TABLES IN SCHEMA watchdog TO",
];

/** @param grants `<privileges> ON <object> TO`, each for the new user. */
export async function createRole(
  { sql, connection, url }: TestDatabase,
  grants: readonly string[] = [],
  options = "",
): Promise<TestRole> {
  const name = `role_${randomBytes(6).toString("hex")}`;
  const password = randomBytes(12).toString("hex");
  await sql.unsafe(`CREATE ROLE ${name} LOGIN PASSWORD '${password}' ${options}`);
  for (const grant of grants) await sql.unsafe(`GRANT ${grant} ${name}`);
  return {
    name,
    password,
    connection: { ...connection, user: name, password },
    url: Object.assign(new URL(url), { username: name, password }).href,
    async [Symbol.asyncDispose]() {
      await sql.unsafe(`DROP OWNED BY ${name}; DROP ROLE ${name}`);
    },
  };
}
