import { sql } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import { seedRun } from "../../fake-host/seed.ts";
import { type StartupGate, startStartupGate } from "../../services/pgbouncer/startup-gate.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { tourStores } from "../../support/stands/store-tour.ts";
import { openStores, queryNow, readRun } from "../../support/stands/stores.ts";

const PLAIN = ["user", "database", "client_encoding", "application_name"];

const CODES = ["08P01", "0A000", "42704", "22023", "XX000"];

describe("an endpoint that refuses start-up parameters", () => {
  it.each(CODES)("is worked with whatever it calls that: %s", async (sqlState) => {
    await using world = await setup("auto", sqlState);
    await tourStores(world.stores, world.database.sql);
    expect(world.stores.logged).toEqual([
      expect.stringMatching(/^the database endpoint refuses start-up parameters, /),
    ]);
    expect(world.gate.asked.at(-1)).toEqual(PLAIN);
  });

  it.each(CODES)(
    "is said to be what it may be when there should be no pooler: %s",
    async (code) => {
      await using world = await setup("off", code);
      await expect(queryNow(world.stores)).rejects.toThrow(StoreUnavailableError);
      await expect(queryNow(world.stores)).rejects.toThrow(
        new RegExp(
          `SQLSTATE ${code}\\): if this is a transaction pooler, set WATCHDOG_DB_POOLER=on$`,
        ),
      );
    },
  );

  it("is found out, said once, and worked with: no parameters, no named statements", async () => {
    await using world = await setup("auto");
    await Promise.all(Array.from({ length: 4 }, () => queryNow(world.stores)));
    await tourStores(world.stores, world.database.sql);
    expect(world.stores.logged).toEqual([
      expect.stringMatching(/^the database endpoint refuses start-up parameters, .*POOLER=on/),
    ]);
    expect(world.gate.refused).toBeGreaterThan(0);
    expect(world.gate.named).toEqual([]);
    expect(world.gate.asked.at(-1)).toEqual(PLAIN);
  });

  it("is never asked for anything when it is known to be a pooler", async () => {
    await using world = await setup("on");
    await tourStores(world.stores, world.database.sql);
    expect(world.stores.logged).toEqual([]);
    expect(world.gate.refused).toBe(0);
    expect(new Set(world.gate.asked.flat())).toEqual(new Set(PLAIN));
    expect(world.gate.named).toEqual([]);
  });

  it("is said to be what it is when there should be no pooler", async () => {
    await using world = await setup("off");
    const outcome = queryNow(world.stores);
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(
      /failed: unsupported startup parameter: statement_timeout \(SQLSTATE 08P01\): .*WATCHDOG_DB_POOLER=on$/,
    );
    expect(world.gate.asked).toHaveLength(1);
  });
});

describe("an endpoint that lets nobody in", () => {
  it.each(["XX000", "42501", "08P01", "P0001", "23514", "28P01"])(
    "is an outage for all that ask, whatever it calls that: %s",
    async (code) => {
      await using world = await setup("auto");
      world.gate.closedWith = code;
      const calls = Array.from({ length: 20 }, () => queryNow(world.stores));
      for (const outcome of await Promise.allSettled(calls)) {
        expect(outcome).toMatchObject({
          status: "rejected",
          reason: expect.any(StoreUnavailableError),
        });
        expect(outcome).toMatchObject({
          reason: { message: expect.stringMatching(/connecting to .* failed: .*SQLSTATE/) },
        });
      }
      // One attempt for all of them; with a code that may mean the parameters a second one, without.
      expect(world.gate.asked.length).toBeLessThanOrEqual(2);
      expect(world.stores.logged).toEqual([]);
      world.gate.closedWith = null;
      await queryNow(world.stores);
    },
  );

  it.each(["28P01", "28000", "3D000", "42501", "53300", "57P03", "25006"])(
    "is not asked a second time for what has nothing to do with parameters: %s",
    async (code) => {
      await using world = await setup("auto");
      world.gate.closedWith = code;
      await expect(queryNow(world.stores)).rejects.toThrow(`SQLSTATE ${code}`);
      expect(world.gate.asked).toHaveLength(1);
    },
  );

  it("leaves those at work that have a session, and lets the others share it", async () => {
    await using world = await setup("on");
    await queryNow(world.stores);
    world.gate.closedWith = "XX000";
    await Promise.all(Array.from({ length: 20 }, () => queryNow(world.stores)));
    expect(world.gate.refused).toBeGreaterThan(0);
  });
});

describe("an endpoint that takes start-up parameters", () => {
  it("gets them, and named statements", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection, { size: 1, pooler: "auto" });
    const { id } = await seedRun(database.sql);
    await readRun(stores, id);
    const [session] = await stores.database.run("asking", ({ db }) =>
      db.execute(sql`
        SELECT count(*)::int AS named, current_setting('statement_timeout') AS timeout
        FROM pg_prepared_statements`),
    );
    expect(session).toEqual({ named: 1, timeout: "10s" });
    expect(stores.logged).toEqual([]);
  });
});

async function setup(pooler: "auto" | "on" | "off", sqlState = "08P01") {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { host, port } = database.connection;
  const gate: StartupGate = resources.use(await startStartupGate({ host, port }, { sqlState }));
  const connection = { ...database.connection, host: gate.host, port: gate.port };
  const stores = resources.use(openStores(connection, { pooler }));
  const opened = resources.move();
  return { database, gate, stores, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
