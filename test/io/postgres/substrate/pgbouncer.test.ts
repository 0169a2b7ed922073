import { describe, expect, it, vi } from "vitest";
import type { PoolOptions } from "../../../../src/io/postgres/connection/pool.ts";
import { PostgresLease } from "../../../../src/io/postgres/leadership/lease.ts";
import { migrate } from "../../../../src/io/postgres/migrate.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import {
  HAS_PGBOUNCER,
  lookIntoSession,
  startPgBouncer,
  waitingClients,
} from "../../../services/pgbouncer/pgbouncer.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { tourStores } from "../../../support/stands/store-tour.ts";
import { openStores, queryNow, type TestStores } from "../../../support/stands/stores.ts";

const ONE_SESSION = { default_pool_size: "1" };

describe.runIf(HAS_PGBOUNCER)("the stores behind PgBouncer in transaction mode", () => {
  it.each(["auto", "on"] as const)(
    "do all a sweep does in one server session, and leave nothing in it: pooler %s",
    async (pooler) => {
      await using world = await setup(ONE_SESSION);
      const before = await world.session();
      await tourStores(world.open({ pooler }), world.database.sql);
      expect(await world.session()).toEqual({ pid: before.pid, leftBehind: [] });
      expect(await world.sessions()).toBe(1);
    },
  );

  it("say what they met when there should be no pooler, and how to tell them", async () => {
    await using world = await setup();
    const outcome = queryNow(world.open({ pooler: "off" }));
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(
      /unsupported startup parameter: statement_timeout \(SQLSTATE 08P01\): .*WATCHDOG_DB_POOLER=on$/,
    );
  });

  it("find out once for all connections, and say so once", async () => {
    await using world = await setup();
    const stores = world.open({ size: 4 });
    await Promise.all(Array.from({ length: 8 }, () => queryNow(stores)));
    expect(stores.logged).toEqual([expect.stringMatching(/^the database endpoint refuses/)]);
  });

  it("can be migrated through it, by several at once", async () => {
    await using world = await setup(ONE_SESSION, { migrate: false });
    const options = { check: false, withHostTables: false };
    const results = await Promise.all([
      migrate(world.connection, options),
      migrate(world.connection, options),
    ]);
    const counts = results.map(({ applied }) => applied.length).sort((a, b) => a - b);
    expect(counts).toEqual([0, results[0]?.total]);
    await tourStores(world.open(), world.database.sql);
    expect((await world.session()).leftBehind).toEqual([]);
  });

  it("elect one holder although all of them ask through the same session", async () => {
    await using world = await setup(ONE_SESSION);
    const stores = Array.from({ length: 4 }, () => world.open({ size: 1, pooler: "on" }));
    const [first] = stores;
    const installation = (await first?.leadership.read())?.installation ?? "";
    const answers = await Promise.all(
      stores.map(({ database }, index) =>
        new PostgresLease(database).acquire(installation, `w${index}/t`, 60_000),
      ),
    );
    expect(answers.filter(({ kind }) => kind === "acquired")).toHaveLength(1);
    expect((await world.session()).leftBehind).toEqual([]);
  });
});

describe.runIf(HAS_PGBOUNCER)("a statement behind PgBouncer", () => {
  it("waits while somebody else has the only session, and goes on after that", async () => {
    await using world = await setup(ONE_SESSION);
    const stores = world.open({ pooler: "on" });
    await using other = world.open({ pooler: "on" });
    const asking = Promise.withResolvers<unknown>();
    await other.database.run("holding", async ({ db }) => {
      await db.transaction(async (tx) => {
        await tx.execute("SELECT 1");
        stores.leadership.read().then(asking.resolve, asking.reject);
        await vi.waitFor(async () => expect(await world.waiting()).toBe(1), { timeout: 20_000 });
      });
    });
    await expect(asking.promise).resolves.toMatchObject({ epoch: 0 });
  });

  it("is unavailable when the pooler gives up on it, and the next one is served", async () => {
    await using world = await setup({ ...ONE_SESSION, query_wait_timeout: "1" });
    const stores = world.open({ pooler: "on" });
    await stores.leadership.read();
    await using other = world.open({ pooler: "on" });
    await other.database.run("holding", async ({ db }) => {
      await db.transaction(async (tx) => {
        await tx.execute("SELECT 1");
        await expect(stores.leadership.read()).rejects.toThrow(StoreUnavailableError);
      });
    });
    await expect(stores.leadership.read()).resolves.toMatchObject({ epoch: 0 });
  });

  it("is unavailable when its server session was ended, and the next one gets another", async () => {
    await using world = await setup(ONE_SESSION);
    const stores = world.open({ pooler: "on" });
    await stores.leadership.read();
    for (let round = 0; round < 3; round += 1) {
      const { pid } = await world.session();
      await world.database.sql`SELECT pg_terminate_backend(${pid}, 20000)`;
      await vi.waitFor(() => stores.leadership.read(), { timeout: 20_000 });
      expect((await world.session()).pid).not.toBe(pid);
    }
  });

  it("is unavailable when the pooler has no room for one more client", async () => {
    await using world = await setup({ max_client_conn: "1" });
    const stores = world.open({ pooler: "on", size: 1 });
    await stores.leadership.read();
    await using second = world.open({ pooler: "auto", size: 1 });
    await expect(second.leadership.read()).rejects.toThrow(StoreUnavailableError);
    await stores[Symbol.asyncDispose]();
    await vi.waitFor(() => second.leadership.read(), { timeout: 20_000 });
  });
});

async function setup(
  settings: Readonly<Record<string, string>> = {},
  options: { readonly migrate?: boolean } = {},
) {
  await using resources = new AsyncDisposableStack();
  const database: TestDatabase = resources.use(await createDatabase(options));
  const pooler = resources.use(await startPgBouncer(settings));
  const connection = { ...database.connection, host: pooler.host, port: pooler.port };
  const opened = resources.move();
  return {
    database,
    connection,
    open(pool: Partial<PoolOptions> = {}): TestStores {
      return opened.use(openStores(connection, pool));
    },
    session: () => lookIntoSession(pooler, database),
    /** Server sessions of the worker. */
    async sessions(): Promise<number> {
      const rows = await database.sql`
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name <> 'postgres.js'`;
      return rows.length;
    },
    waiting: () => waitingClients(pooler, database.name),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
