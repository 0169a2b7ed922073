import { describe, expect, it, vi } from "vitest";
import type { Database } from "../../../../src/io/postgres/database.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { atPoint } from "../../../races/interleavings.ts";
import { createDatabase } from "../../../services/postgres/database.ts";
import {
  createRole,
  type TestRole,
  WORKER_GRANTS,
} from "../../../services/postgres/database-role.ts";
import { asking } from "../../../support/stands/asking.ts";
import { openStores } from "../../../support/stands/stores.ts";
import { seedExited } from "../../../support/world/proven-runs.ts";
import { createWorld } from "../../../support/world/world.ts";

const WITHIN = { timeout: 20_000 };
const CALLS = 12;
const RUNS = 40;

describe("a server that gives fewer sessions than the pool has places", () => {
  it("has them shared: every call is answered", async () => {
    await using world = await limitedTo(2);
    await using stores = openStores(world.role.connection, { size: 6 });
    const pids = await Promise.all(Array.from({ length: CALLS }, () => slowly(stores.database)));
    expect(new Set(pids).size).toBe(2);
  });

  it("is unavailable to those who have no session at all, and served when it has room again", async () => {
    await using world = await limitedTo(1);
    await using taken = openStores(world.role.connection, { size: 1 });
    await slowly(taken.database);
    await using stores = openStores(world.role.connection, { size: 3 });
    const calls = Array.from({ length: CALLS }, () => slowly(stores.database));
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: expect.any(StoreUnavailableError),
      });
      expect(outcome).toMatchObject({
        reason: {
          message: expect.stringMatching(
            /SQLSTATE 53300\): let the server take more connections, or lower WATCHDOG_DB_POOL$/,
          ),
        },
      });
    }
    await taken[Symbol.asyncDispose]();
    await vi.waitFor(() => slowly(stores.database), WITHIN);
  });

  it("is asked for more sessions once it may have room, and for no more than the pool has places", async () => {
    await using world = await limitedTo(1);
    await using stores = openStores(world.role.connection, { size: 3 });
    const several = () => Promise.all(Array.from({ length: CALLS }, () => slowly(stores.database)));
    expect(new Set(await several()).size).toBe(1);
    await world.database.sql.unsafe(`ALTER ROLE ${world.role.name} CONNECTION LIMIT 10`);
    await vi.waitFor(async () => expect(new Set(await several()).size).toBe(3), WITHIN);
  });

  it("leaves nobody waiting for a session that was ended", async () => {
    await using world = await limitedTo(1);
    await using stores = openStores(world.role.connection, { size: 3 });
    const pid = await slowly(stores.database);
    const calls = Promise.allSettled(Array.from({ length: CALLS }, () => slowly(stores.database)));
    await world.database.sql`SELECT pg_terminate_backend(${pid}, 20000)`;
    // Whatever becomes of each: none of them waits for ever.
    await calls;
    await vi.waitFor(() => slowly(stores.database), WITHIN);
  });

  it("keeps no session of a pool that closed while calls waited for one", async () => {
    await using world = await limitedTo(1);
    const stores = openStores(world.role.connection, { size: 3 });
    await slowly(stores.database);
    const calls = Array.from({ length: CALLS }, () => slowly(stores.database).catch(String));
    await stores.database.close(20_000);
    await Promise.all(calls);
    expect(await world.sessions()).toBe(0);
  });
});

describe("a pool", () => {
  it("opens no session while another one is open and free", async () => {
    await using world = await limitedTo(10);
    await using stores = openStores(world.role.connection, { size: 2 });
    const [one, two] = await Promise.all([slowly(stores.database), slowly(stores.database)]);
    const last = await slowly(stores.database);
    await world.database.sql`SELECT pg_terminate_backend(${last}, 20000)`;
    // The one that was given back last is closed now, and comes first all the same.
    const next = await vi.waitFor(() => slowly(stores.database), WITHIN);
    expect(next).toBe(last === one ? two : one);
  });
});

describe("a whole sweep", () => {
  it.each([2, 3])("ends and cleans up with %i sessions, the lease's among them", async (limit) => {
    await using world = await createWorld();
    for (let index = 0; index < RUNS; index += 1) await seedExited(world, index % 2);
    await using role = await createRole(world.database, WORKER_GRANTS, `CONNECTION LIMIT ${limit}`);
    const report = await world.sweep({ env: { DATABASE_URL: role.url, WATCHDOG_DB_POOL: "8" } });
    expect(report).toMatchObject({ status: "ok", cleanups: { done: RUNS, pending: 0 } });
  });

  it("ends and cleans up with a pool of one, while many runs are handled at once", async () => {
    await using world = await createWorld();
    for (let index = 0; index < RUNS; index += 1) await seedExited(world, index % 2);
    const report = await world.sweep({
      env: { WATCHDOG_DB_POOL: "1", WATCHDOG_CONCURRENCY: "16" },
    });
    expect(report).toMatchObject({ status: "ok", cleanups: { done: RUNS, pending: 0 } });
  });

  it("opens a new session where the server has ended the idle ones between question and write", async () => {
    await using world = await createWorld();
    const { id } = await seedExited(world, 1);
    const { sql: admin } = world.database;
    // As idle_session_timeout does it, at a moment of our choice.
    const endSessions = () => admin`
      SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'run-watchdog' AND state = 'idle'`;
    const report = await world.sweep({
      replace: atPoint("between the answer and the write", endSessions),
    });
    expect(report).toMatchObject({ status: "ok", counts: { failed: 1 }, cleanups: { done: 1 } });
    expect(await world.row(id)).toMatchObject({ status: "FAILED" });
  });
});

/** Long enough to have others come meanwhile; the session's process id. */
async function slowly(database: Database): Promise<number> {
  const [row] = await database.run(
    "asking",
    asking<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid, pg_sleep(0.05)"),
  );
  return row?.pid ?? 0;
}

/** A database whose worker may have so many sessions. */
async function limitedTo(sessions: number) {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const role: TestRole = resources.use(
    await createRole(database, WORKER_GRANTS, `CONNECTION LIMIT ${sessions}`),
  );
  const opened = resources.move();
  return {
    database,
    role,
    async sessions(): Promise<number> {
      return vi.waitFor(async () => {
        const rows = await database.sql`
          SELECT FROM pg_stat_activity WHERE usename = ${role.name}`;
        expect(rows).toHaveLength(0);
        return rows.length;
      }, WITHIN);
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
