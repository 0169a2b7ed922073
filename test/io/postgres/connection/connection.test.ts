import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { statement } from "../../../../src/io/postgres/connection/statement.ts";
import type { Database } from "../../../../src/io/postgres/database.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { startPostgres } from "../../../services/postgres/embedded-postgres.ts";
import { startTcpProxy, type TcpProxy } from "../../../services/tcp-proxy.ts";
import { asking } from "../../../support/stands/asking.ts";
import { leaving, openStores, type TestStores } from "../../../support/stands/stores.ts";

const WITHIN = { timeout: 20_000 };
/** Long enough for a busy machine, short enough for a test. */
const DEADLINE_MS = 1000;

describe("a call over a connection on which nothing arrives any more", () => {
  it("is given up at its deadline, and its connection with it; the next one connects anew", async () => {
    await using world = await setup();
    const pid = await backendOf(world.stores.database);
    const before = openSockets();
    world.proxy.blackhole();
    await expectUnavailable(ask(world.stores), /^asking: no answer from Postgres within 1000 ms$/);
    // The proxy keeps its ends of what was to cancel the statement.
    const swallowed = () => world.proxy.connections - 1;
    await vi.waitFor(() => expect(openSockets()).toBe(before - 1 + swallowed()), WITHIN);
    await world.proxy.heal();
    expect(await backendOf(world.stores.database)).not.toBe(pid);
  });

  it("is given up while it connects, and no attempt goes on behind it", async () => {
    await using world = await setup();
    const before = openSockets();
    world.proxy.blackhole();
    await expectUnavailable(
      ask(world.stores),
      /^asking: connecting to 127\.0\.0\.1:\d+: no answer within 1000 ms: check its load, the network, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
    );
    // The proxy keeps its end.
    await vi.waitFor(() => expect(openSockets()).toBe(before + 1), WITHIN);
    await world.proxy.heal();
    await ask(world.stores);
    expect(world.proxy.connections).toBe(2);
  });
});

describe("a connection that breaks", () => {
  it("is replaced without a failed call when it broke while nothing was asked", async () => {
    await using world = await setup();
    for (let round = 0; round < 3; round += 1) {
      const pid = await backendOf(world.stores.database);
      await world.database.sql`SELECT pg_terminate_backend(${pid}, 20000)`;
      await vi.waitFor(() => expect(world.proxy.open).toBe(0), WITHIN);
      expect(await backendOf(world.stores.database)).not.toBe(pid);
    }
  });

  it("fails the call that was under way when an administrator ended it, and only that one", async () => {
    await using world = await setup();
    const { sql: admin } = world.database;
    await ask(world.stores);
    const asking = { outcome: Promise.resolve() };
    await admin.begin(async (tx) => {
      await tx`LOCK TABLE watchdog.leadership`;
      const call = world.stores.leadership.clearLeaseKind(leaving(1));
      asking.outcome = expectUnavailable(call, /^clearing the kind of lease failed: /);
      await vi.waitFor(async () => {
        const ended = await admin`
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        expect(ended).toHaveLength(1);
      }, WITHIN);
      await asking.outcome;
    });
    await ask(world.stores);
  });

  it("is tried once per call at an endpoint that accepts and hangs up", async () => {
    let accepted = 0;
    const server = createServer((socket) => {
      accepted += 1;
      socket.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    await using database = await createDatabase();
    await using stores = openStores({ ...database.connection, host: "127.0.0.1", port });
    try {
      await expectUnavailable(ask(stores), /failed: ECONNRESET$/);
      await expectUnavailable(ask(stores), /failed: ECONNRESET$/);
      expect(accepted).toBe(2);
    } finally {
      server.close();
    }
  });

  it("comes back by itself after a restart of the server", async () => {
    await using server = await startPostgres({ settings: { fsync: "off" } });
    await using database = await createDatabase({ server: server.url() });
    await using stores = openStores(database.connection);
    const before = await stores.leadership.read();
    await server.kill();
    // The backend of a killed server notices a moment later, and answers until then.
    await vi.waitFor(
      () =>
        expectUnavailable(
          stores.leadership.read(),
          /(ECONNREFUSED: check that Postgres runs there.*|ECONNRESET|EPIPE|CONNECTION_CLOSED)$/,
        ),
      10_000,
    );
    await expectUnavailable(
      stores.leadership.read(),
      /ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
    );
    await server.start();
    const after = await stores.leadership.read();
    expect(after).toEqual({ ...before, readAt: expect.any(String) });
  });
});

describe("a connection", () => {
  it("is opened by the first call, and used for the following ones", async () => {
    await using world = await setup();
    expect(world.proxy.connections).toBe(0);
    const pids = [await backendOf(world.stores.database), await backendOf(world.stores.database)];
    expect(pids[0]).toBe(pids[1]);
    expect(world.proxy.connections).toBe(1);
  });

  it("is kept after an error that Postgres answered with, and given up after any other", async () => {
    await using world = await setup();
    const { database } = world.stores;
    const pid = await backendOf(database);
    const refused = database.run("asking", asking("SELECT 1 / 0"));
    await expect(refused).rejects.toThrow("SQLSTATE 22012");
    expect(await backendOf(database)).toBe(pid);
    const broken = database.run("asking", async () => {
      throw Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
    });
    await expectUnavailable(broken, /^asking failed: ECONNRESET$/);
    expect(await backendOf(database)).not.toBe(pid);
  });

  it("is open before the check runs: nothing that was checked waits for a connection", async () => {
    await using world = await setup();
    const check = vi.fn(() => expect(world.proxy.connections).toBe(1));
    const bytes: number[] = [];
    await world.stores.database.run(
      "asking",
      (connection) => {
        bytes.push(world.proxy.bytesUp);
        return asking("SELECT 1")(connection);
      },
      check,
    );
    expect(check).toHaveBeenCalledOnce();
    expect(bytes[0]).toBeGreaterThan(0);
  });

  it("keeps the microseconds of an instant, and gives counts as numbers", async () => {
    await using world = await setup();
    const at = "2026-03-01T12:00:00.000007+00:00";
    const { database } = world.stores;
    const [row] = await database.query("asking", INSTANTS_AND_NUMBERS, { at, plain: at });
    expect(row).toEqual({
      read: expect.stringContaining(".000007"),
      sent: expect.stringContaining(".000007"),
      count: Number.MAX_SAFE_INTEGER,
      ms: 1772366400000.007,
    });
  });

  it("says who it is, bounds what it sends, and asks for nothing else", async () => {
    await using world = await setup();
    const [session] = await world.stores.database.run(
      "asking",
      asking(`
        SELECT current_setting('application_name') AS name,
               current_setting('statement_timeout') AS statement,
               current_setting('idle_in_transaction_session_timeout') AS idle,
               current_setting('search_path') = reset_val AS default_path
        FROM pg_settings WHERE name = 'search_path'`),
    );
    expect(session).toEqual({
      name: "run-watchdog",
      statement: "10s",
      idle: "10s",
      default_path: true,
    });
  });

  it("is gone from the server once it is closed", async () => {
    await using world = await setup();
    await ask(world.stores);
    await world.stores.database.close(1000);
    await vi.waitFor(() => expect(world.proxy.open).toBe(0), WITHIN);
    await expectUnavailable(ask(world.stores), /the pool is closed$/);
    expect(world.proxy.connections).toBe(1);
  });
});

interface ConnectionWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly proxy: TcpProxy;
  /** One connection, through the proxy. */
  readonly stores: TestStores;
}

async function setup(): Promise<ConnectionWorld> {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const { host, port } = database.connection;
  const proxy = resources.use(await startTcpProxy({ host, port }));
  const connection = {
    ...database.connection,
    host: proxy.host,
    port: proxy.port,
    callDeadlineMs: DEADLINE_MS,
  };
  const stores = resources.use(openStores(connection, { size: 1 }));
  const opened = resources.move();
  return { database, proxy, stores, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** Of this process: ours, the proxy's and the test's own. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}

const INSTANTS_AND_NUMBERS = statement<{ readonly at: string; readonly plain: string }, object>(`
  SELECT :at::text::timestamptz AS read, to_json(:plain::timestamptz) #>> '{}' AS sent,
    9007199254740991::bigint AS count, extract(epoch FROM :at::text::timestamptz) * 1000 AS ms`);

function ask({ database }: TestStores): Promise<unknown> {
  return database.run("asking", asking("SELECT 1"));
}

async function backendOf(database: Database): Promise<number> {
  const [row] = await database.run(
    "asking",
    asking<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid"),
  );
  return row?.pid ?? 0;
}

async function expectUnavailable(call: Promise<unknown>, message: RegExp): Promise<void> {
  await expect(call).rejects.toThrow(StoreUnavailableError);
  await expect(call).rejects.toThrow(message);
}
