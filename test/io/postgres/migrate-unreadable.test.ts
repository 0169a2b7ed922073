/** An installation that has lost some of its files. */
import type * as Fs from "node:fs";
import { expect, it, vi } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { StoreSchemaError } from "../../../src/watchdog/errors.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { migrationTags } from "../../support/world/first-schema.ts";

const NONE = "\0";
const lost = vi.hoisted(() => ({ file: "\0" }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof Fs>();
  const readFileSync = (path: string, encoding: "utf8") =>
    fs.readFileSync(path.endsWith(lost.file) ? `${path}.lost` : path, encoding);
  return { ...fs, readFileSync };
});
const [FIRST = ""] = await migrationTags();

it.each([
  ["a migration", `${FIRST}.sql`],
  ["the list of them", "_journal.json"],
])("names the file that is lost, and leaves the database alone: %s", async (_, file) => {
  await using database = await createDatabase({ hostTables: false, migrate: false });
  lost.file = file;
  const migrating = migrate(database.connection, { check: false, withHostTables: false });
  const error = await migrating.catch((thrown: unknown) => thrown).finally(found);
  expect(error).toBeInstanceOf(StoreSchemaError);
  expect(String(error)).toContain(
    `${file} of the migrations of this installation cannot be read: ENOENT, install run-watchdog again`,
  );
  expect(await database.sql`SELECT FROM pg_namespace WHERE nspname = 'watchdog'`).toHaveLength(0);
});

function found(): void {
  lost.file = NONE;
}
