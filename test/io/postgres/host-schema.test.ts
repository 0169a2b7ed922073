import postgres from "postgres";
import { describe, expect, it } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { StoreSchemaError } from "../../../src/watchdog/errors.ts";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../services/postgres/database-role.ts";
import { tourStores } from "../../support/stands/store-tour.ts";
import {
  deferring,
  failing,
  leaving,
  openStores,
  readRun,
  takeEpoch,
} from "../../support/stands/stores.ts";

const WRITTEN = { kind: "written" };

describe("a database that is not what the worker needs", () => {
  const lacks: readonly (readonly [string, string, RegExp])[] = [
    [
      "the worker's own tables",
      "DROP SCHEMA watchdog CASCADE",
      /^the worker's tables are missing \(watchdog\.leadership, watchdog\.shards, watchdog\.suspicions, watchdog\.verdicts\): run `run-watchdog migrate`$/,
    ],
    [
      "the journal",
      "DROP TABLE watchdog.verdicts",
      /^the worker's tables are missing \(watchdog\.verdicts\)/,
    ],
    [
      "what an older migration did not create",
      "DROP TABLE watchdog.suspicions",
      /^the worker's tables are missing \(watchdog\.suspicions\): run `run-watchdog migrate`$/,
    ],
    [
      "columns that an older migration did not create",
      "ALTER TABLE watchdog.suspicions DROP look_at, DROP shield_at",
      /^the worker's tables are older than this version \(watchdog\.suspicions\.look_at, watchdog\.suspicions\.shield_at missing\): run `run-watchdog migrate`$/,
    ],
    [
      "the host's runs",
      "DROP TABLE automation_runs",
      /^the host's table automation_runs is missing: .* create an updatable view of that name$/,
    ],
    [
      "columns of the runs",
      "ALTER TABLE automation_runs DROP COLUMN sandbox_id, DROP COLUMN bash_command_id",
      /^automation_runs lacks the columns sandbox_id, bash_command_id: /,
    ],
    [
      "a column of the automations",
      "ALTER TABLE automations DROP COLUMN user_id",
      /^automations lacks the columns user_id: /,
    ],
    [
      "several things, named at once",
      "DROP TABLE watchdog.verdicts; ALTER TABLE automations DROP COLUMN org_id",
      /verdicts.*; automations lacks the columns org_id/,
    ],
  ];
  it.each(lacks)("lacks %s", async (_, change, message) => {
    await using database = await createDatabase();
    await database.sql.unsafe(change);
    await using stores = openStores(database.connection);
    await expectSchemaProblem(() => stores.leadership.read(), message);
    await expectSchemaProblem(() => stores.store.backlog(ANY_TIME), message);
  });

  it("has runs that cannot be written through their view", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      ALTER TABLE automation_runs RENAME TO jobs;
      CREATE VIEW automation_runs AS SELECT DISTINCT ON (id) * FROM jobs`);
    await using stores = openStores(database.connection);
    const message = /^automation_runs cannot be updated: make it an updatable view$/;
    await expectSchemaProblem(() => stores.leadership.read(), message);
  });

  it("works for a user with the worker's privileges and no others", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, WORKER_GRANTS);
    await using stores = openStores(role.connection);
    await tourStores(stores, database.sql);
  });

  const privileges = WORKER_GRANTS.map(
    (grant, index) => [grant.replace(" TO", ""), index] as const,
  );
  it.each(privileges)(
    "names the missing privilege when the user lacks %s",
    async (grant, index) => {
      await using database = await createDatabase();
      const others = WORKER_GRANTS.filter((_, other) => other !== index);
      await using role = await createRole(database, others);
      await using stores = openStores(role.connection);
      const what = grant.startsWith("USAGE")
        ? "USAGE on schema watchdog"
        : (/^\w+/.exec(grant)?.[0] ?? "");
      const message = new RegExp(`^the database user lacks privileges: grant it .*${what}`);
      await expectSchemaProblem(() => stores.leadership.read(), message);
    },
  );

  const single = ["suspicions", "verdicts"].flatMap((table) =>
    ["SELECT", "INSERT", "UPDATE", "DELETE"].map((privilege) => [privilege, table] as const),
  );
  it.each(single)("names %s on watchdog.%s when only that is missing", async (privilege, table) => {
    await using database = await createDatabase();
    await using role = await createRole(database, WORKER_GRANTS);
    await database.sql.unsafe(`REVOKE ${privilege} ON watchdog.${table} FROM ${role.name}`);
    await using stores = openStores(role.connection);
    const missing = `the database user lacks privileges: grant it ${privilege} on watchdog.${table}`;
    await expectSchemaProblem(() => stores.leadership.read(), new RegExp(`^${missing}$`));
  });

  it("is looked at again with every call until it is right", async () => {
    await using database = await createDatabase({ migrate: false });
    await using stores = openStores(database.connection);
    await expect(stores.leadership.read()).rejects.toThrow(StoreSchemaError);
    await migrate(database.connection, { check: false, withHostTables: false });
    await expect(stores.leadership.read()).resolves.toMatchObject({ epoch: 0 });
  });
});

const WITHOUT_INDEX = `
  DROP INDEX ix_automation_runs_status_timeout_at; DROP INDEX ix_automation_runs_timeout_at`;
const ADVICE = "run CREATE INDEX CONCURRENTLY ON automation_runs (status, timeout_at)";

describe("a database without the index that the scan needs", () => {
  it("is warned about once, with the statement that makes one", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(WITHOUT_INDEX);
    await using stores = openStores(database.connection);
    for (let look = 0; look < 3; look += 1) await stores.leadership.read();
    expect(stores.logged).toEqual([
      `automation_runs has no index on (status, timeout_at), and looking for stale runs reads all of it: ${ADVICE}`,
    ]);
    const [, statement = ""] = ADVICE.split("run ");
    await database.sql.unsafe(statement);
    await using next = openStores(database.connection);
    await next.leadership.read();
    expect(next.logged).toEqual([]);
  });

  const indexes = [
    { makes: "(status, timeout_at, id)", serves: true },
    { makes: "(timeout_at) WHERE status = 'RUNNING'", serves: true },
    { makes: "(status, timeout_at) WHERE status IN ('RUNNING', 'PENDING')", serves: true },
    { makes: "(status, timeout_at) WHERE status = 'PENDING'", serves: false },
    { makes: "(timeout_at) WHERE status = 'PENDING'", serves: false },
    { makes: "(timeout_at)", serves: false },
    { makes: "(timeout_at, status)", serves: false },
    { makes: "(status, created_at, timeout_at)", serves: false },
    { makes: "(status, (timeout_at IS NULL), timeout_at)", serves: false },
  ];
  it.each(indexes)("looks at what each index is on: $makes", async ({ makes, serves }) => {
    await using database = await createDatabase();
    await database.sql.unsafe(`${WITHOUT_INDEX}; CREATE INDEX ON automation_runs ${makes}`);
    await using stores = openStores(database.connection);
    await stores.leadership.read();
    expect(stores.logged).toHaveLength(serves ? 0 : 1);
  });

  it("takes an index that was never finished for none", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      UPDATE pg_index SET indisvalid = false
      WHERE indexrelid = 'ix_automation_runs_status_timeout_at'::regclass`);
    await using stores = openStores(database.connection);
    await stores.leadership.read();
    expect(stores.logged).toHaveLength(1);
  });

  it("is told again what it lacks when a scan takes too long", async () => {
    await using world = await locked(WITHOUT_INDEX);
    const scans = [
      () => world.stores.store.backlog(ANY_TIME),
      () => world.stores.store.stalePage(ANY_TIME, null, 1),
      () => world.stores.store.stalePage(ANY_TIME, { part: "no-deadline", id: null }, 1),
      () => world.stores.store.stalePage(ANY_TIME, { part: "suspected", id: null }, 1),
      () => world.stores.store.controlRuns(ANY_TIME, [], 1),
    ];
    for (const scan of scans) {
      const scanning = scan();
      await expect(scanning).rejects.toThrow(/SQLSTATE 57014\).*CREATE INDEX CONCURRENTLY/);
      await expect(scanning).rejects.toMatchObject({ late: true });
    }
    await expect(world.stores.leadership.clearLeaseKind(leaving(1))).resolves.toBeUndefined();
  });

  it("is told nothing of an index that is there", async () => {
    await using world = await locked("SELECT");
    const scanning = world.stores.store.backlog(ANY_TIME);
    await expect(scanning).rejects.toThrow(/SQLSTATE 57014\)$/);
  });

  it("behind a view is not known, and only mentioned when a scan takes too long", async () => {
    await using world = await locked(`
      ALTER TABLE automation_runs RENAME TO jobs;
      CREATE VIEW automation_runs AS SELECT * FROM jobs`);
    expect(world.stores.logged).toEqual([]);
    await expect(world.stores.store.backlog(ANY_TIME)).rejects.toThrow(
      /57014\); see that the table behind the view automation_runs has an index/,
    );
  });

  /** A host whose runs cannot be read while the test lasts, and statements that are patient for a moment. */
  async function locked(change: string) {
    await using resources = new AsyncDisposableStack();
    const database = resources.use(await createDatabase());
    const { sql, name } = database;
    await sql.unsafe(change);
    await sql.unsafe(`ALTER DATABASE ${name} SET statement_timeout = '300ms'`);
    // Without start-up parameters the database's own limit holds.
    const stores = resources.use(openStores(database.connection, { pooler: "on" }));
    await stores.leadership.read();
    const holder = await sql.reserve();
    resources.defer(() => holder.release());
    await holder.unsafe("BEGIN; LOCK TABLE automation_runs");
    resources.defer(async () => void (await holder.unsafe("ROLLBACK")));
    const opened = resources.move();
    return { stores, [Symbol.asyncDispose]: () => opened.disposeAsync() };
  }
});

describe("a host that changes while the worker runs", () => {
  it("ends what meets a dropped column as a schema problem, and goes on without the column", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection, { size: 1 });
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql);
    const run = await readRun(stores, id);
    await database.sql`ALTER TABLE automation_runs DROP COLUMN status_detail`;
    await expectSchemaProblem(
      () => stores.store.apply(failing(run), fence),
      /^ending a run: column .*status_detail.* does not exist \(SQLSTATE 42703\): /,
    );
    expect(await stores.store.apply(failing(run), fence)).toEqual(WRITTEN);
  });

  it("uses a column that is added once the leadership row is read again", async () => {
    await using database = await createDatabase();
    const { sql } = database;
    const { id } = await seedRun(sql);
    await sql`ALTER TABLE automation_runs DROP COLUMN status_detail`;
    await using stores = openStores(database.connection);
    const fence = await takeEpoch(stores);
    const run = await readRun(stores, id);
    await sql`ALTER TABLE automation_runs ADD COLUMN status_detail json`;
    await stores.leadership.read();
    const statusDetail = '{"kind": "timeout"}';
    expect(await stores.store.defer(deferring(run, { statusDetail }), fence)).toEqual(WRITTEN);
    const [row] = await sql`SELECT status_detail::text FROM automation_runs`;
    expect(row).toEqual({ status_detail: statusDetail });
  });

  it("reads on when a column changes its type under a prepared statement", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection, { size: 1 });
    const { id, sandboxId } = await seedRun(database.sql);
    await readRun(stores, id);
    await readRun(stores, id);
    await database.sql`ALTER TABLE automation_runs ALTER COLUMN sandbox_id TYPE text`;
    expect(await readRun(stores, id)).toMatchObject({ sandboxId });
  });
});

describe("a host with other shapes", () => {
  it("is found through the search path, as its own service finds it", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      CREATE SCHEMA host; ALTER TABLE automation_runs SET SCHEMA host;
      ALTER TABLE automations SET SCHEMA host`);
    await database.sql.unsafe(`ALTER DATABASE ${database.name} SET search_path = host, public`);
    await using stores = openStores(database.connection);
    const host = postgres(database.url, { max: 1, fetch_types: false });
    try {
      await tourStores(stores, host);
    } finally {
      await host.end();
    }
  });

  it("may offer its runs as an updatable view with other names behind it", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      ALTER TABLE automation_runs RENAME TO jobs;
      ALTER TABLE jobs RENAME COLUMN status TO state;
      ALTER TABLE jobs RENAME COLUMN timeout_at TO due;
      CREATE VIEW automation_runs AS
        SELECT id, automation_id, state AS status, error_detail, created_at, started_at, completed_at,
               conversation_id, due AS timeout_at, sandbox_id, bash_command_id, status_detail FROM jobs`);
    await using stores = openStores(database.connection);
    await tourStores(stores, database.sql);
  });
});

const ANY_TIME = {
  horizon: { text: "2026-03-01T12:00:00+00:00", ms: Date.UTC(2026, 2, 1, 12) },
  nullDeadlineAfterMs: 0,
  includeSuspected: false,
};

async function expectSchemaProblem(call: () => Promise<unknown>, message: RegExp): Promise<void> {
  const outcome = call();
  await expect(outcome).rejects.toThrow(StoreSchemaError);
  await expect(outcome).rejects.toThrow(message);
}
