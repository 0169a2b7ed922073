import type { Sql } from "postgres";
import { describe, expect, it } from "vitest";
import { grants } from "../../src/commands/grants.ts";
import { migrate } from "../../src/io/postgres/migrate.ts";
import { createDatabase, type TestDatabase } from "../services/postgres/database.ts";
import { createRole, type TestRole } from "../services/postgres/database-role.ts";
import { tourStores } from "../support/stands/store-tour.ts";
import { openStores, type TestStores, takeEpoch } from "../support/stands/stores.ts";

const REFUSED = /permission denied|lacks privileges/;

describe("migrate --print-grants", () => {
  it("prints grants of which each is needed and together are enough", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database);
    const { lines } = await printed(role.name, database.url);
    for (const line of lines) await database.sql.unsafe(line);
    await using stores = openStores(role.connection);
    await doEverything(stores, database.sql, role);
    const single = lines.flatMap(singlePrivileges);
    expect(single.length).toBeGreaterThan(25);
    const unneeded: string[] = [];
    for (const privilege of single) {
      await emptied(database.sql);
      // What is known to be there is used, so that it is the statement itself that is refused.
      await stores.database.inspect();
      const logged = stores.logged.length;
      await database.sql.unsafe(`REVOKE ${privilege} FROM ${role.name}`);
      await doEverything(stores, database.sql, role).then(
        // What the worker can do without is said, and left alone.
        () => REFUSED.test(stores.logged.slice(logged).join()) || unneeded.push(privilege),
        (error: unknown) => expect(String(error), privilege).toMatch(REFUSED),
      );
      await database.sql.unsafe(`GRANT ${privilege} TO ${role.name}`);
    }
    expect(unneeded).toEqual([]);
  }, 120_000);

  it("grants everything of our schema that is there", async () => {
    await using database = await createDatabase();
    const { lines } = await printed("r", database.url);
    const tables = await database.sql<{ readonly name: string }[]>`
      SELECT relname AS name FROM pg_class
      WHERE relnamespace = 'watchdog'::regnamespace AND relkind = 'r'`;
    for (const { name } of tables) {
      expect(lines.join("\n")).toContain(` ON watchdog.${name} TO "r";`);
    }
  });

  it("leaves out the columns that an older host lacks", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      ALTER TABLE automation_runs DROP status_detail;
      ALTER TABLE automations DROP preset_metadata, DROP updated_at`);
    const { lines, stderr } = await printed("r", database.url);
    const updates = lines.filter((line) => line.startsWith("GRANT UPDATE"));
    expect(updates).toEqual([
      'GRANT UPDATE (status, error_detail, completed_at, timeout_at, sandbox_cleanup_due_at) ON automation_runs TO "r";',
    ]);
    expect(stderr).toBe("");
  });

  it("opens a database and a schema that are closed to others", async () => {
    await using database = await createDatabase();
    const { name, sql } = database;
    await sql.unsafe(`
      REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC; REVOKE USAGE ON SCHEMA public FROM PUBLIC`);
    await using role = await createRole(database);
    const { lines } = await printed(role.name, database.url);
    for (const line of lines) await sql.unsafe(line);
    await using stores = openStores(role.connection);
    await doEverything(stores, sql, role);
  });

  it("quotes the role, whatever is in its name", async () => {
    await using database = await createDatabase();
    const name = `Watch-dog "${database.name}"`;
    const { lines } = await printed(name, database.url);
    const quoted = `"Watch-dog ""${database.name}"""`;
    await database.sql.unsafe(`CREATE ROLE ${quoted}`);
    for (const line of lines) await database.sql.unsafe(line);
    await database.sql.unsafe(`DROP OWNED BY ${quoted}; DROP ROLE ${quoted}`);
  });

  const nowhere: readonly (readonly [string, string | undefined])[] = [
    ["no database is set", undefined],
    ["nobody answers", "postgres://u@127.0.0.1:1/x"],
  ];
  it.each(nowhere)("names every column, and says so on stderr alone, when %s", async (_, url) => {
    const { exitCode, lines, stderr } = await printed("r", url);
    expect(exitCode).toBe(0);
    expect(lines).toContain(
      'GRANT UPDATE (status, error_detail, completed_at, timeout_at, status_detail, sandbox_cleanup_due_at) ON automation_runs TO "r";',
    );
    expect(lines.filter((line) => !line.startsWith("GRANT "))).toEqual([]);
    expect(stderr).toMatch(/^every column that a host may have is named, .+\n$/s);
  });
});

async function printed(role: string, url: string | undefined) {
  let stdout = "";
  let stderr = "";
  const context = {
    env: { DATABASE_URL: url },
    readFile: () => "",
    stdout: {
      write(chunk: string) {
        stdout += chunk;
      },
    },
    stderr: {
      write(chunk: string) {
        stderr += chunk;
      },
    },
  };
  const { signal } = new AbortController();
  // Nothing else of the streams is used.
  const exitCode = await grants(
    context as unknown as Parameters<typeof grants>[0],
    { name: "grants", role },
    signal,
  );
  return { exitCode, lines: stdout.trimEnd().split("\n"), stderr };
}

/** `GRANT SELECT, UPDATE (a, b) ON t TO "r";` as `SELECT ON t`, `UPDATE (a) ON t`, `UPDATE (b) ON t`. */
function singlePrivileges(line: string): readonly string[] {
  const [, what = "", objects = ""] = /^GRANT (.+) ON (.+) TO ".+";$/.exec(line) ?? [];
  const [, columns] = /^UPDATE \((.+)\)$/.exec(what) ?? [];
  const privileges = columns?.split(", ").map((column) => `UPDATE (${column})`) ?? what.split(", ");
  return objects
    .split(", ")
    .flatMap((object) => privileges.map((privilege) => `${privilege} ON ${object}`));
}

/** Whatever a worker, `pause` and `migrate --check` ask of the database. */
async function doEverything(stores: TestStores, sql: Sql, role: TestRole): Promise<void> {
  const { fleet } = stores;
  await tourStores(stores, sql);
  const worker = {
    holder: "h/1/ab",
    version: "0",
    fingerprint: "f",
    leaseKind: "redis",
    shards: 1,
  } as const;
  await fleet.seen({ ...worker, upMs: 0 });
  await fleet.workers();
  await fleet.forgetWorkers(60_000, await takeEpoch(stores));
  await fleet.left(worker.holder);
  await fleet.pause({ forMs: 60_000, reason: "r", by: "b" });
  await fleet.resume("b");
  await migrate(role.connection, { check: true, withHostTables: false });
}

async function emptied(sql: TestDatabase["sql"]): Promise<void> {
  await sql`UPDATE watchdog.leadership SET paused_until = NULL`;
  await sql`TRUNCATE automation_runs, automations, watchdog.suspicions, watchdog.verdicts`;
}
