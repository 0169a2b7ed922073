import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";

const HOST_FOLDER = join(import.meta.dirname, "..", "..", "..", "drizzle", "host");
const EMPTY = { hostTables: false, migrate: false };
const WITH_HOST_TABLES = { check: false, withHostTables: true };

describe("migrate --with-host-tables", () => {
  it("adds the stamp and its index to the tables of before, once, and leads to what a new database gets", async () => {
    await using old = await oldDatabase();
    await using fresh = await createDatabase(EMPTY);
    await migrate(fresh.connection, WITH_HOST_TABLES);
    for (let times = 0; times < 2; times += 1) {
      await migrate(old.connection, WITH_HOST_TABLES);
      expect(await shapeOf(old)).toEqual(await shapeOf(fresh));
    }
    const { indexes, columns } = await shapeOf(old);
    expect(columns).toContain("sandbox_cleanup_due_at timestamp with time zone");
    expect(indexes).toContainEqual(
      expect.stringMatching(
        /\(sandbox_cleanup_due_at\) WHERE \(sandbox_cleanup_due_at IS NOT NULL\)$/,
      ),
    );
  });

  it("leaves the columns to a host that has migrations of its own", async () => {
    await using database = await oldDatabase();
    await database.sql`CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)`;
    const before = await shapeOf(database);
    await migrate(database.connection, WITH_HOST_TABLES);
    expect(await shapeOf(database)).toEqual(before);
  });
});

/** With the host's tables as the first version of them was. */
async function oldDatabase(): Promise<TestDatabase> {
  const database = await createDatabase(EMPTY);
  await database.sql.unsafe(await readFile(join(HOST_FOLDER, "0000_host.sql"), "utf8"));
  return database;
}

async function shapeOf({ sql }: TestDatabase) {
  const columns = await sql<{ text: string }[]>`
    SELECT column_name || ' ' || data_type AS text FROM information_schema.columns
    WHERE table_name = 'automation_runs' ORDER BY ordinal_position`;
  const indexes = await sql<{ text: string }[]>`
    SELECT indexdef AS text FROM pg_indexes WHERE tablename = 'automation_runs' ORDER BY 1`;
  return {
    columns: columns.map(({ text }) => text),
    indexes: indexes.map(({ text }) => text),
  };
}
