import { describe, expect, it, vi } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { StoreSchemaError, StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import { createRole } from "../../services/postgres/database-role.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import { openStores, takeEpoch } from "../../support/stands/stores.ts";
import { migrationTags } from "../../support/world/first-schema.ts";

const APPLY = { check: false, withHostTables: false };
const CHECK = { check: true, withHostTables: false };
const EMPTY = { hostTables: false, migrate: false };
const TAGS = await migrationTags();
const WITHIN = { timeout: 20_000 };

describe("migrate", () => {
  it("makes a new database ready for the worker, with one installation", async () => {
    await using database = await createDatabase({ migrate: false });
    const result = await migrate(database.connection, APPLY);
    expect(result).toEqual({ applied: TAGS, total: TAGS.length, hostTables: false });
    await using stores = openStores(database.connection);
    await stores.leadership.read();
    expect(await database.sql`SELECT FROM watchdog.leadership`).toHaveLength(1);
  });

  it("changes nothing when it is run again", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection);
    await takeEpoch(stores);
    const before = await stateOf(database);
    const result = await migrate(database.connection, APPLY);
    expect(result).toEqual({ applied: [], total: TAGS.length, hostTables: false });
    expect(await stateOf(database)).toEqual(before);
  });

  it("is applied by one of eight who migrate at once, and succeeds for all", async () => {
    await using database = await createDatabase(EMPTY);
    const results = await Promise.all(
      Array.from({ length: 8 }, () => migrate(database.connection, APPLY)),
    );
    const applied = results.map((result) => result.applied.length).sort();
    expect(applied).toEqual([0, 0, 0, 0, 0, 0, 0, TAGS.length]);
    expect(await database.sql`SELECT FROM watchdog.leadership`).toHaveLength(1);
  });

  it("is applied once where every session reads repeatably and does not write by default", async () => {
    await using database = await createDatabase(EMPTY);
    await database.sql.unsafe(`
      ALTER DATABASE ${database.name} SET default_transaction_isolation = 'repeatable read';
      ALTER DATABASE ${database.name} SET default_transaction_read_only = on`);
    const results = await Promise.all(
      Array.from({ length: 4 }, () => migrate(database.connection, APPLY)),
    );
    expect(results.filter((result) => result.applied.length > 0)).toHaveLength(1);
  });

  it("only tells, when asked to check, what is to be applied", async () => {
    await using database = await createDatabase(EMPTY);
    expect(await migrate(database.connection, CHECK)).toMatchObject({ applied: TAGS });
    expect(await database.sql`SELECT to_regnamespace('watchdog') AS schema`).toEqual([
      { schema: null },
    ]);
    await migrate(database.connection, APPLY);
    expect(await migrate(database.connection, CHECK)).toMatchObject({ applied: [] });
  });

  it("leaves alone what a newer version has applied", async () => {
    await using database = await createDatabase();
    await database.sql`INSERT INTO watchdog.migrations (tag) VALUES ('0099_of_tomorrow')`;
    const before = await stateOf(database);
    expect(await migrate(database.connection, APPLY)).toMatchObject({ applied: [] });
    expect(await stateOf(database)).toEqual(before);
  });

  it("does not touch the host's tables, nor the bookkeeping of a host that uses drizzle", async () => {
    await using database = await createDatabase({ migrate: false });
    await database.sql.unsafe(`
      CREATE SCHEMA drizzle;
      CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint);
      INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('h', 9999999999999)`);
    const before = await hostOf(database);
    expect(await migrate(database.connection, APPLY)).toMatchObject({ applied: TAGS });
    expect(await hostOf(database)).toEqual(before);
  });

  it("creates the host's tables when told to, and keeps those that are there", async () => {
    await using database = await createDatabase(EMPTY);
    const options = { check: false, withHostTables: true };
    expect(await migrate(database.connection, options)).toMatchObject({ hostTables: true });
    const before = await hostOf(database);
    expect(before).not.toEqual([]);
    expect(await migrate(database.connection, options)).toMatchObject({ applied: [] });
    expect(await hostOf(database)).toEqual(before);
  });

  it("is cancelled on the server when it is ended while it waits for another one", async () => {
    await using database = await createDatabase(EMPTY);
    await using other = await migratingElsewhere(database);
    const stop = new AbortController();
    const reason = new Error("stop");
    const ended = expect(migrate(database.connection, APPLY, stop.signal)).rejects.toBe(reason);
    await other.untilWaiting(1);
    stop.abort(reason);
    await ended;
    await other.untilWaiting(0);
    await other.done();
    expect(await migrate(database.connection, APPLY)).toMatchObject({ applied: TAGS });
  });

  it("is cancelled on the server when its connection breaks while it waits", async () => {
    await using database = await createDatabase(EMPTY);
    await using other = await migratingElsewhere(database);
    const { connection } = database;
    await using proxy = await startTcpProxy(connection);
    const { host, port } = proxy;
    const ended = expect(migrate({ ...connection, host, port }, APPLY)).rejects.toThrow(
      StoreUnavailableError,
    );
    await other.untilWaiting(1);
    proxy.reset();
    await ended;
    await other.untilWaiting(0);
  });

  it("leaves nothing behind when it fails halfway", async () => {
    await using database = await createDatabase(EMPTY);
    await database.sql.unsafe("CREATE SCHEMA watchdog; CREATE TABLE watchdog.verdicts (id int)");
    await expect(migrate(database.connection, APPLY)).rejects.toThrow(/^migrating: SQLSTATE 42P07/);
    expect(await database.sql`SELECT to_regclass('watchdog.leadership') AS t`).toEqual([
      { t: null },
    ]);
    expect(await database.sql`SELECT to_regclass('watchdog.migrations') AS t`).toEqual([
      { t: null },
    ]);
  });

  it("names the missing privilege and the remedy", async () => {
    await using database = await createDatabase(EMPTY);
    await using role = await createRole(database);
    const migrating = migrate(role.connection, APPLY);
    await expect(migrating).rejects.toThrow(StoreSchemaError);
    await expect(migrating).rejects.toThrow(
      `migrating: permission denied for database ${database.name} (SQLSTATE 42501): migrate as a user that has CREATE there`,
    );
  });

  for (const [lacking, grants] of [
    ["SELECT on the list of migrations", ["USAGE ON SCHEMA watchdog TO"]],
    ["USAGE on the schema", []],
  ] as const) {
    it(`asks for no migration when ${lacking} is all that its check lacks`, async () => {
      await using database = await createDatabase();
      await using role = await createRole(database, grants);
      const checking = migrate(role.connection, CHECK);
      await expect(checking).rejects.toThrow(StoreSchemaError);
      await expect(checking).rejects.toThrow(
        /^reading which migrations were applied: permission denied for (table migrations|schema watchdog) \(SQLSTATE 42501\): grant USAGE on schema watchdog and SELECT on watchdog\.migrations, as `run-watchdog migrate --print-grants` does$/,
      );
    });
  }

  it("succeeds without any right to create when there is nothing to apply", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, [
      "USAGE ON SCHEMA watchdog TO",
      "SELECT ON watchdog.migrations TO",
    ]);
    expect(await migrate(role.connection, APPLY)).toMatchObject({ applied: [] });
  });

  it("needs no right on the database when its schema is there and its own", async () => {
    await using database = await createDatabase(EMPTY);
    await using role = await createRole(database);
    await database.sql.unsafe(`CREATE SCHEMA watchdog AUTHORIZATION ${role.name}`);
    expect(await migrate(role.connection, APPLY)).toMatchObject({ applied: TAGS });
  });

  it("needs no more than CREATE on the database", async () => {
    await using database = await createDatabase(EMPTY);
    await using role = await createRole(database, [`CREATE ON DATABASE ${database.name} TO`]);
    expect(await migrate(role.connection, APPLY)).toMatchObject({ applied: TAGS });
  });

  it("gives up on an endpoint that refuses connections", async () => {
    await using database = await createDatabase(EMPTY);
    const { host, port } = database.connection;
    await using proxy = await startTcpProxy({ host, port });
    await proxy.refuse();
    const migrating = migrate(
      { ...database.connection, host: proxy.host, port: proxy.port },
      APPLY,
    );
    await expect(migrating).rejects.toThrow(StoreUnavailableError);
    await expect(migrating).rejects.toThrow(
      /^migrating: connecting to 127\.0\.0\.1:\d+ failed: ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
    );
  });
});

/** Everything in the worker's schema. */
/** Somebody else has the lock of those who migrate. */
async function migratingElsewhere({ sql }: TestDatabase) {
  // A client of postgres.js that was never used has nothing to reserve.
  await sql`SELECT 1`;
  const holder = await sql.reserve();
  await holder`SELECT pg_advisory_lock(7263195421)`;
  return {
    async done(): Promise<void> {
      await holder`SELECT pg_advisory_unlock(7263195421)`;
    },
    untilWaiting: (count: number) =>
      vi.waitFor(async () => {
        const rows = await sql`
          SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        expect(rows).toHaveLength(count);
      }, WITHIN),
    [Symbol.asyncDispose]: async () => holder.release(),
  };
}

async function stateOf({ sql }: TestDatabase): Promise<unknown> {
  return sql`
    SELECT (SELECT json_agg(l) FROM watchdog.leadership l) AS leadership,
           (SELECT json_agg(m) FROM watchdog.migrations m) AS migrations,
           (SELECT json_agg(c ORDER BY table_name, ordinal_position)
            FROM information_schema.columns c WHERE table_schema = 'watchdog') AS columns`;
}

/** What is outside of the worker's schema: columns with their tables' identities, and drizzle's rows. */
async function hostOf({ sql }: TestDatabase): Promise<readonly unknown[]> {
  const columns = await sql`
    SELECT a.attrelid::regclass::text AS table, a.attrelid, a.attname, a.atttypid, c.relfilenode
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace::regnamespace::text IN ('public', 'drizzle') ORDER BY 1, 3`;
  const [drizzle] =
    await sql`SELECT to_regclass('drizzle.__drizzle_migrations') IS NOT NULL AS there`;
  const rows = drizzle?.["there"] ? await sql`SELECT * FROM drizzle.__drizzle_migrations` : [];
  return [...columns, ...rows];
}
