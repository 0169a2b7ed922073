import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { PoolOptions } from "../../../../src/io/postgres/connection/pool.ts";
import type { ConnectionOptions } from "../../../../src/io/postgres/connection/session.ts";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../../services/postgres/database-role.ts";
import { asking } from "../../../support/stands/asking.ts";
import { leaving, openStores } from "../../../support/stands/stores.ts";

const PASSWORD = "p4ssw0rd-of-the-worker";

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase();
});

afterAll(() => database?.[Symbol.asyncDispose]());

interface Case {
  readonly name: string;
  readonly change: Partial<ConnectionOptions>;
  readonly message: RegExp;
}

const cases: readonly Case[] = [
  {
    name: "nothing listens",
    change: { host: "127.0.0.1", port: 1 },
    message:
      /^reading the schema: connecting to 127\.0\.0\.1:1 failed: ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
  },
  {
    name: "the host is unknown",
    change: { host: "database.invalid" },
    message:
      /connecting to database\.invalid:\d+ failed: (ENOTFOUND|EAI_AGAIN): check the host in DATABASE_URL or AUTOMATION_DB_\*$/,
  },
  {
    name: "the address cannot be reached from here",
    change: { host: "255.255.255.255" },
    message:
      /connecting to 255\.255\.255\.255:\d+ failed: E[A-Z]+: check the network, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
  },
  {
    name: "the socket file is not there",
    change: { path: "/nowhere/.s.PGSQL.5432" },
    message:
      /connecting to \/nowhere\/\.s\.PGSQL\.5432 failed: ENOENT: check that Postgres runs here, and the socket in DATABASE_URL or AUTOMATION_DB_\*$/,
  },
  {
    name: "the password is wrong",
    change: {},
    message: /password authentication failed for user "\w+" \(SQLSTATE 28P01\): check the user/,
  },
  {
    name: "there is no password",
    change: { password: null },
    message: /SQLSTATE 28P01\): check the user and password in DATABASE_URL or AUTOMATION_DB_\*$/,
  },
  {
    name: "the user does not exist",
    change: { user: "nobody_of_that_name" },
    message: /"nobody_of_that_name" \(SQLSTATE 28P01\): check the user/,
  },
  {
    name: "the server speaks no TLS",
    change: { tls: "require" },
    message:
      /connecting to \S+:\d+ failed: the server speaks no TLS, and sslmode asks for it: turn it on/,
  },
  {
    name: "the server speaks no TLS that could be verified",
    change: { tls: { verify: "full", ca: null } },
    message: /failed: the server speaks no TLS, and sslmode asks for it/,
  },
];

describe("connecting, when something is wrong", () => {
  it.each(cases)("says so without the password: $name", async ({ change, message }) => {
    const outcome = readWith({ ...database.connection, password: PASSWORD, ...change });
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(message);
    const thrown = await outcome.catch((reason: unknown) => reason);
    expect(textOf(thrown)).not.toContain(PASSWORD);
    expect(textOf(thrown)).not.toContain(database.connection.password ?? "");
  });

  it("says that the database does not exist", async () => {
    const outcome = readWith({ ...database.connection, database: "not_here" });
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(
      /database "not_here" does not exist \(SQLSTATE 3D000\): check the database name in DATABASE_URL or AUTOMATION_DB_\*$/,
    );
  });

  it("works where TLS is only preferred and the server speaks none", async () => {
    await expect(readWith({ ...database.connection, tls: "prefer" })).resolves.toBeDefined();
  });

  it("counts a server without a free place as unavailable, and goes on when there is one", async () => {
    await using role = await createRole(database, WORKER_GRANTS, "CONNECTION LIMIT 1");
    const first = openStores(role.connection, { size: 1 });
    await using second = openStores(role.connection, { size: 1 });
    await first.leadership.read();
    const refused = second.leadership.read();
    await expect(refused).rejects.toThrow(StoreUnavailableError);
    await expect(refused).rejects.toThrow(
      /too many connections for role .* \(SQLSTATE 53300\): let the server take more connections, or lower WATCHDOG_DB_POOL$/,
    );
    await first[Symbol.asyncDispose]();
    await vi.waitFor(() => second.leadership.read(), { timeout: 20_000 });
  });
});

describe("a statement, when something is wrong", () => {
  it("counts as unavailable when it took longer than the server allows", async () => {
    await using own = await createDatabase();
    await own.sql.unsafe(`ALTER DATABASE ${own.name} SET statement_timeout = '100ms'`);
    // Without start-up parameters the database's own limit holds.
    await using stores = openStores(own.connection, { pooler: "on" });
    const outcome = stores.database.run("asking", asking("SELECT pg_sleep(20)"));
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(
      /^asking failed: canceling statement due to statement timeout \(SQLSTATE 57014\)$/,
    );
  });

  it("counts as unavailable on a server that has become read-only", async () => {
    await using own = await createDatabase();
    await own.sql.unsafe(`ALTER DATABASE ${own.name} SET default_transaction_read_only = on`);
    await using stores = openStores(own.connection);
    const outcome = stores.leadership.clearLeaseKind(leaving(1));
    await expect(outcome).rejects.toThrow(StoreUnavailableError);
    await expect(outcome).rejects.toThrow(
      /in a read-only transaction \(SQLSTATE 25006\): DATABASE_URL or AUTOMATION_DB_\* has to lead to a server that takes writes, also after a failover$/,
    );
  });
});

async function readWith(
  connection: ConnectionOptions,
  options: Partial<PoolOptions> = {},
): Promise<unknown> {
  await using stores = openStores(connection, { pooler: "auto", ...options });
  return await stores.leadership.read();
}

/** Everything a log could show of an error. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = Object.getOwnPropertyNames(error).map((name) => String(Reflect.get(error, name)));
  return [...own, textOf(error.cause ?? "")].join("\n");
}
