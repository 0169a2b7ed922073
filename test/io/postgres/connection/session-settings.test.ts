import { describe, expect, it, vi } from "vitest";
import { PostgresLease } from "../../../../src/io/postgres/leadership/lease.ts";
import { LeaseUnavailableError, StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { asking } from "../../../support/stands/asking.ts";
import { tourStores } from "../../../support/stands/store-tour.ts";
import {
  completing,
  deferring,
  epochRequest,
  failing,
  horizonAt,
  noCheck,
  openStores,
  readRun,
  takeEpoch,
} from "../../../support/stands/stores.ts";

const STYLES = [
  ["SQL, DMY", "Asia/Kolkata"],
  ["German", "Europe/Dublin"],
  ["Postgres, MDY", "America/St_Johns"],
  ["ISO, YMD", "UTC"],
] as const;

describe("a role that has times printed in its own way", () => {
  it.each(STYLES)("changes nothing about what is read and written: %s, %s", async (style, zone) => {
    await using database = await withSettings({ datestyle: style, timezone: zone });
    await using stores = openStores(database.connection);
    await tourStores(stores, database.sql);
  });

  it.each(STYLES)("reads a deadline to the microsecond: %s, %s", async (style, zone) => {
    await using database = await withSettings({ datestyle: style, timezone: zone });
    await using stores = openStores(database.connection);
    const { id } = await seedRun(database.sql, { timeoutAt: "2026-10-25T00:30:00.000007Z" });
    const run = await readRun(stores, id);
    expect(run.timeoutAt).toMatch(/^2026-10-2[45]T\d\d:\d0:00\.000007[+-]\d\d:\d\d$/);
    expect(Date.parse(run.timeoutAt ?? "")).toBe(Date.UTC(2026, 9, 25, 0, 30));
    const page = await stores.store.stalePage(horizonAt("2026-11-01T00:00:00Z"), null, 1);
    expect(page.next).toMatchObject({ part: "due", dueAt: run.timeoutAt });
    await stores.leadership.begin(epochRequest(), noCheck);
    const view = await stores.leadership.read();
    expect(Number.isNaN(Date.parse(view.sweepStartedAt ?? ""))).toBe(false);
    const fence = { shard: 0, epoch: view.epoch, check: noCheck };
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "written" });
  });
});

describe("a database whose transactions are repeatable reads", () => {
  it("has no say in what level a direct connection works at", async () => {
    await using database = await withSettings({ default_transaction_isolation: "serializable" });
    await using stores = openStores(database.connection);
    const [row] = await stores.database.run(
      "asking",
      asking("SELECT current_setting('transaction_isolation') AS level"),
    );
    expect(row).toEqual({ level: "read committed" });
  });

  it("lets a whole sweep through by way of a pooler", async () => {
    await using database = await withSettings({ default_transaction_isolation: "serializable" });
    await using stores = openStores(database.connection, { pooler: "on" });
    await tourStores(stores, database.sql);
  });

  it("makes a write busy whose run was changed while it was on its way", async () => {
    await using world = await repeatable();
    const { database, stores } = world;
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql);
    const run = await readRun(stores, id);
    await world.slowDownRuns();
    for (const write of [
      () => stores.store.apply(completing(run), fence),
      () => stores.store.defer(deferring(run), fence),
      () => stores.store.apply(failing(run), fence),
    ]) {
      const answer = await world.overtaken(write, "UPDATE jobs SET cost = 1");
      expect(answer).toEqual({ kind: "busy" });
    }
    expect(await stores.store.apply(failing(run), fence)).toEqual({ kind: "written" });
  });

  it("makes an epoch unavailable, not lost, whose row was written meanwhile", async () => {
    await using world = await repeatable();
    const begin = () => world.stores.leadership.begin(epochRequest(), noCheck);
    const answer = world.overtaken(begin, "UPDATE watchdog.leadership SET progressed_at = now()");
    await expect(answer).rejects.toThrow(StoreUnavailableError);
    await expect(begin()).resolves.toMatchObject({ kind: "begun", epoch: 1 });
  });

  it("makes the lease unavailable, not lost, whose row was written meanwhile", async () => {
    await using world = await repeatable();
    const lease = new PostgresLease(world.stores.database);
    const { installation } = await world.stores.leadership.read();
    await lease.acquire(installation, "w1/t", 60_000);
    const renew = () => lease.renew(installation, "w1/t", 60_000);
    const answer = world.overtaken(renew, "UPDATE watchdog.leadership SET progressed_at = now()");
    await expect(answer).rejects.toThrow(LeaseUnavailableError);
    await expect(renew()).resolves.toBe(true);
  });
});

/** A database in which every new session has these settings. */
async function withSettings(settings: Readonly<Record<string, string>>): Promise<TestDatabase> {
  const database = await createDatabase();
  for (const [name, value] of Object.entries(settings)) {
    await database.sql.unsafe(`ALTER DATABASE ${database.name} SET ${name} = '${value}'`);
  }
  return database;
}

async function repeatable() {
  await using resources = new AsyncDisposableStack();
  const settings = { default_transaction_isolation: "repeatable read" };
  const database = resources.use(await withSettings(settings));
  // A direct connection would ask for another level.
  const stores = resources.use(openStores(database.connection, { pooler: "on" }));
  const { sql } = database;
  const opened = resources.move();
  return {
    database,
    stores,
    /** Lets a statement begin, changes the rows it is about, and lets it go on. */
    async overtaken<T>(statement: () => Promise<T>, change: string): Promise<T> {
      const answer = Promise.withResolvers<T>();
      answer.promise.catch(() => undefined);
      await sql.begin("isolation level read committed", async (tx) => {
        await tx.unsafe(change);
        await tx`SELECT pg_advisory_xact_lock(1)`;
        statement().then(answer.resolve, answer.reject);
        await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 20_000 });
      });
      return answer.promise;
    },
    /** Makes whoever looks for a run wait for an advisory lock: after its snapshot, before the row's lock. */
    async slowDownRuns() {
      await sql.unsafe(`
        CREATE FUNCTION pause() RETURNS boolean LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END $$;
        ALTER TABLE automation_runs RENAME TO jobs;
        CREATE VIEW automation_runs AS SELECT * FROM jobs WHERE pause()`);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };

  async function waiting(): Promise<number> {
    const [found] = await sql`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return found?.["count"];
  }
}
