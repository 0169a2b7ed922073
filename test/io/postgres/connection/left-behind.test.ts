/** Calls that are given up: what the server goes on doing for them, and how many sessions of ours it has. */
import dns, { type LookupOptions } from "node:dns";
import { sql } from "drizzle-orm";
import { describe, expect, it, vi } from "vitest";
import type { PoolOptions } from "../../../../src/io/postgres/connection/pool.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { resolveWrite } from "../../../../src/watchdog/sweep/resolve-write.ts";
import { seedRuns } from "../../../fake-host/seed.ts";
import { HAS_PGBOUNCER, startPgBouncer } from "../../../services/pgbouncer/pgbouncer.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { startPostgres } from "../../../services/postgres/embedded-postgres.ts";
import { loseStandby } from "../../../services/postgres/lost-standby.ts";
import { countSessions } from "../../../services/postgres/server-sessions.ts";
import { startTcpProxy, type TcpProxy } from "../../../services/tcp-proxy.ts";
import {
  failing,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const WITHIN = { timeout: 20_000 };
const DEADLINE_MS = 500;
const KEY = 815;
/** Without start-up parameters the server itself has all the time in the world. */
const PATIENT = { pooler: "on" } as const;

describe("a commit that waits for a standby that is lost", () => {
  it("is cancelled and recognised as made, and leaves no session behind", async () => {
    await using server = await startPostgres({ settings: { fsync: "off" } });
    await using database = await createDatabase({ server: server.url() });
    await using stores = open(database, { size: 2 });
    const { store } = stores;
    const fence = await takeEpoch(stores);
    const seeded = await seedRuns(
      database.sql,
      Array.from({ length: 12 }, () => ({})),
    );
    const runs = await Promise.all(seeded.map(({ id }) => readRun(stores, id)));
    await using _ = await loseStandby(server);
    await using sessions = await countSessions(database.url);
    const resolved = await Promise.all(
      runs.map((run) =>
        resolveWrite(store, run, fence, true, () => store.apply(failing(run), fence)),
      ),
    );
    expect(resolved).toEqual(runs.map(() => ({ kind: "written" })));
    // The server takes a moment to see that one has left.
    expect(sessions.most).toBeLessThanOrEqual(4);
    const waiting = await database.sql`
      SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`;
    expect(waiting).toHaveLength(0);
  });
});

describe("a statement that waits for a lock", () => {
  it("is cancelled over a connection of its own", async () => {
    await using world = await setup();
    await expect(world.waitForLock()).rejects.toThrow(/^waiting: no answer from Postgres within/);
    expect(await world.waiting()).toBe(0);
    // Another session: a wish that came late must not meet the next statement.
    await expect(world.one()).resolves.toBe(1);
  });

  it("is cancelled on the server that it is at, wherever its name leads by then", async () => {
    await using world = await setup();
    const { port } = world.proxy;
    const name = "database.example";
    let moved = false;
    const original = dns.lookup;
    // As net asks for it: one address, and the callback last. Other names lead where they always do.
    const lookup = vi.spyOn(dns, "lookup").mockImplementation(((
      asked: string,
      options: LookupOptions,
      done: (error: Error | null, ...found: readonly unknown[]) => void,
    ) => {
      if (asked !== name) return original(asked, options, done);
      if (moved) return done(new Error("moved"));
      if (options.all === true) return done(null, [{ address: "127.0.0.1", family: 4 }]);
      return done(null, "127.0.0.1", 4);
    }) as typeof dns.lookup);
    try {
      await using stores = open(world.database, { ...PATIENT, size: 1 }, { host: name, port });
      await one(stores);
      moved = true;
      await expect(waitForLock(stores)).rejects.toThrow(/no answer from Postgres/);
      expect(await world.waiting()).toBe(0);
    } finally {
      lookup.mockRestore();
    }
  });

  it("is cancelled where its connection broke", async () => {
    await using world = await setup(PATIENT, 60_000);
    const call = expect(world.waitForLock()).rejects.toThrow(StoreUnavailableError);
    await world.untilWaiting(1);
    world.proxy.reset();
    await call;
    await world.untilWaiting(0);
  });

  it("is cancelled as soon as the server can be reached again", async () => {
    await using world = await setup({ ...PATIENT, size: 1 });
    const call = expect(world.waitForLock()).rejects.toThrow(/no answer from Postgres/);
    await world.untilWaiting(1);
    world.proxy.blackhole();
    await call;
    expect(await world.waiting()).toBe(1);
    await world.proxy.heal();
    await world.untilWaiting(0);
  });

  it("is cancelled when the pool closes", async () => {
    await using world = await setup(PATIENT, 60_000);
    const call = expect(world.waitForLock()).rejects.toThrow(StoreUnavailableError);
    await world.untilWaiting(1);
    await world.stores.database.close(50);
    await call;
    await world.untilWaiting(0);
  });

  it.runIf(HAS_PGBOUNCER)("is cancelled through PgBouncer, whose sessions stay few", async () => {
    await using world = await setup();
    await using pooler = await startPgBouncer({ default_pool_size: "3" });
    const { host, port } = pooler;
    await using stores = open(world.database, { size: 8, pooler: "on" }, { host, port });
    await using sessions = await countSessions(world.database.url);
    const calls = Array.from({ length: 40 }, () => waitForLock(stores));
    const resolved = await Promise.allSettled(calls);
    expect(resolved.every(({ status }) => status === "rejected")).toBe(true);
    expect(sessions.most).toBeLessThanOrEqual(3 + 2);
    await world.untilWaiting(0);
    await world.unlock();
    await vi.waitFor(() => one(stores), WITHIN);
  });
});

describe("a statement that does not heed that it is cancelled", () => {
  it("keeps its session's place, so that the server never gets many more than the pool has", async () => {
    await using world = await setup({ size: 1 });
    await world.database.sql.unsafe(STUBBORN);
    const stubborn = () =>
      world.stores.database.run("asking", ({ db }) => db.execute(sql`SELECT stubborn()`));
    for (let call = 1; call <= 3; call += 1) {
      await expect(stubborn()).rejects.toThrow(/no answer from Postgres within/);
    }
    await expect(world.one()).rejects.toThrow(StoreUnavailableError);
    await expect(world.one()).rejects.toThrow(
      /: 3 sessions that did not answer may still be at work on the server/,
    );
    await using sessions = await countSessions(world.database.url);
    expect(await sessions.now()).toBe(3);
    expect(world.stores.logged).toEqual(
      Array(3).fill("a session that did not answer may still be at work on the server"),
    );
  });
});

/** Takes every wish to cancel it for an answer. */
const STUBBORN = `
  CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    LOOP
      BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP;
  END $$`;

interface LeftWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly proxy: TcpProxy;
  /** Through the proxy. */
  readonly stores: TestStores;
  /** A statement that goes on until `unlock`, or until it is cancelled. */
  waitForLock(): Promise<unknown>;
  unlock(): Promise<unknown>;
  one(): Promise<number | undefined>;
  waiting(): Promise<number>;
  untilWaiting(count: number): Promise<void>;
}

async function setup(
  options: Partial<PoolOptions> = {},
  callDeadlineMs = DEADLINE_MS,
): Promise<LeftWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { host, port } = database.connection;
  const proxy = resources.use(await startTcpProxy({ host, port }));
  const address = { host: proxy.host, port: proxy.port, callDeadlineMs };
  const stores = resources.use(open(database, { size: 2, ...options }, address));
  const holder = await database.sql.reserve();
  resources.defer(() => holder.release());
  await holder`SELECT pg_advisory_lock(${KEY})`;
  const opened = resources.move();

  async function waiting(): Promise<number> {
    const rows = await database.sql`
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return rows.length;
  }

  return {
    database,
    proxy,
    stores,
    waitForLock: () => waitForLock(stores),
    unlock: () => holder`SELECT pg_advisory_unlock(${KEY})`,
    one: () => one(stores),
    waiting,
    untilWaiting: (count) => vi.waitFor(async () => expect(await waiting()).toBe(count), WITHIN),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

function open(
  { connection }: TestDatabase,
  options: Partial<PoolOptions>,
  changes: Partial<TestDatabase["connection"]> = {},
): TestStores {
  return openStores({ ...connection, callDeadlineMs: DEADLINE_MS, ...changes }, options);
}

function waitForLock({ database }: TestStores): Promise<unknown> {
  return database.run("waiting", ({ db }) =>
    db.execute(sql`SELECT pg_advisory_xact_lock(${KEY}::int)`),
  );
}

async function one({ database }: TestStores): Promise<number | undefined> {
  const [row] = await database.run("asking", ({ db }) =>
    db.execute<{ readonly one: number }>(sql`SELECT 1 AS one`),
  );
  return row?.one;
}
