import { randomUUID } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { PostgresLease } from "../../../../src/io/postgres/leadership/lease.ts";
import { LeaseUnavailableError, StoreSchemaError } from "../../../../src/watchdog/errors.ts";
import type { AcquireAnswer } from "../../../../src/watchdog/ports.ts";
import { describeLease, type LeaseStand } from "../../../conformance/lease.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { openStores } from "../../../support/stands/stores.ts";

const TTL_MS = 60_000;

describeLease("Postgres", () => openStand(0));
describeLease("Postgres, of shard 3", () => openStand(3));

async function openStand(shard: number): Promise<LeaseStand> {
  await using resources = new AsyncDisposableStack();
  const here = resources.use(await createDatabase());
  const there = resources.use(await createDatabase());
  const open = (database: TestDatabase) =>
    new PostgresLease(resources.use(openStores(database.connection)).database).ofShard(shard);
  const stand = {
    lease: open(here),
    second: open(here),
    installation: await installationOf(here),
    elsewhere: { lease: open(there), installation: await installationOf(there) },
    forget: async () => {
      await here.sql`UPDATE watchdog.leadership SET holder = NULL, lease_expires_at = NULL`;
      await here.sql`UPDATE watchdog.shards SET holder = NULL, lease_expires_at = NULL`;
    },
  };
  const opened = resources.move();
  return { ...stand, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

describe("PostgresLease", () => {
  it("keeps the last holder readable after the release", async () => {
    await using world = await setup();
    const { lease, installation, database } = world;
    await lease.acquire(installation, "w1/t", TTL_MS);
    await lease.release(installation, "w1/t");
    const [row] = await database.sql`SELECT holder, lease_expires_at FROM watchdog.leadership`;
    expect(row).toEqual({ holder: "w1/t", lease_expires_at: null });
  });

  it.each(["it's", 'a "b" \\ $1 %s', "snow ☃ 😀", " "])(
    "takes any text as its value: %s",
    async (value) => {
      await using world = await setup();
      const { lease, installation } = world;
      await lease.acquire(installation, value, TTL_MS);
      expect(await lease.acquire(installation, "other", TTL_MS)).toMatchObject({ value });
      expect(await lease.renew(installation, value, TTL_MS)).toBe(true);
      expect(await lease.release(installation, value)).toBe(true);
    },
  );

  it("leaves the row alone when it refuses", async () => {
    await using world = await setup();
    const { lease, installation, database } = world;
    await lease.acquire(installation, "w1/t", TTL_MS);
    const row = () =>
      database.sql`SELECT xmin::text, to_jsonb(l) AS row FROM watchdog.leadership l`;
    const before = await row();
    await lease.acquire(installation, "w2/t", TTL_MS);
    await lease.renew(installation, "w2/t", TTL_MS);
    await lease.release(installation, "w2/t");
    expect(await row()).toEqual(before);
  });

  it("tells of the holder that won while it waited for the row", async () => {
    await using world = await setup();
    const { sql } = world.database;
    const acquiring = Promise.withResolvers<AcquireAnswer>();
    await sql.begin(async (tx) => {
      await tx`
        UPDATE watchdog.leadership
        SET holder = 'w1/t', lease_expires_at = now() + interval '1 minute'`;
      const attempt = world.lease.acquire(world.installation, "w2/t", TTL_MS);
      attempt.then(acquiring.resolve, acquiring.reject);
      await vi.waitFor(
        async () => {
          const waiting = await sql`
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`;
          expect(waiting).toHaveLength(1);
        },
        { timeout: 20_000 },
      );
    });
    const answer = await acquiring.promise;
    expect(answer).toMatchObject({ kind: "held", value: "w1/t" });
    expect(answer.kind === "held" && answer.expiresInMs).toBeGreaterThan(0);
  });

  it("is not to be had under another installation's name", async () => {
    await using world = await setup();
    const { lease, installation } = world;
    const stranger = randomUUID();
    expect(await lease.acquire(stranger, "w1/t", TTL_MS)).toMatchObject({ kind: "held" });
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    expect(await lease.renew(stranger, "w1/t", TTL_MS)).toBe(false);
    expect(await lease.release(stranger, "w1/t")).toBe(false);
  });

  it("says that it is unavailable when Postgres cannot be reached", async () => {
    await using world = await setup();
    await using away = openStores({ ...world.database.connection, port: 1 });
    const lease = new PostgresLease(away.database);
    for (const call of [
      () => lease.ping(),
      () => lease.acquire(world.installation, "w1/t", TTL_MS),
      () => lease.renew(world.installation, "w1/t", TTL_MS),
      () => lease.release(world.installation, "w1/t"),
    ]) {
      const outcome = call();
      await expect(outcome).rejects.toThrow(LeaseUnavailableError);
      await expect(outcome).rejects.toThrow(
        /failed: ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_\*$/,
      );
    }
  });

  it("asks for a migration when its table is missing", async () => {
    await using database = await createDatabase({ migrate: false });
    await using stores = openStores(database.connection);
    const ping = new PostgresLease(stores.database).ping();
    await expect(ping).rejects.toThrow(StoreSchemaError);
    await expect(ping).rejects.toThrow(/run `run-watchdog migrate`/);
  });
});

async function setup() {
  await using resources = new AsyncDisposableStack();
  const database = resources.use(await createDatabase());
  const stores = resources.use(openStores(database.connection, { size: 1 }));
  const installation = await installationOf(database);
  const opened = resources.move();
  return {
    database,
    lease: new PostgresLease(stores.database),
    installation,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

async function installationOf(database: TestDatabase): Promise<string> {
  const [row] = await database.sql`SELECT installation FROM watchdog.leadership`;
  return row?.["installation"];
}
