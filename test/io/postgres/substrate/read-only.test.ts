import { describe, expect, it, vi } from "vitest";
import { StoreUnavailableError } from "../../../../src/watchdog/errors.ts";
import { resolveWrite } from "../../../../src/watchdog/sweep/resolve-write.ts";
import { seedRun } from "../../../fake-host/seed.ts";
import { atPoint } from "../../../races/interleavings.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { endWatchdogSessions } from "../../../services/postgres/server-sessions.ts";
import { redisUrl } from "../../../services/redis/redis.ts";
import { asking } from "../../../support/stands/asking.ts";
import {
  failing,
  leaving,
  openStores,
  readRun,
  type TestStores,
  takeEpoch,
} from "../../../support/stands/stores.ts";
import { seedExited, seedProvenRuns } from "../../../support/world/proven-runs.ts";
import { createWorld } from "../../../support/world/world.ts";

const SHORT_LEASE = {
  WATCHDOG_LEASE_TTL: "3s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_LEASE_MARGIN: "200ms",
};
const READ_ONLY =
  /in a read-only transaction \(SQLSTATE 25006\): DATABASE_URL or AUTOMATION_DB_\* has to lead to a server that takes writes, also after a failover$/;

describe("a server that has become read-only", () => {
  it("loses the sessions that found it out: the next ones may lead to its successor", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection, { size: 1 });
    const { epoch } = await takeEpoch(stores);
    const before = await backendOf(stores);
    await failOver(database);
    // What was under way when the session ended may still have met it.
    const found = await vi.waitFor(() => backendOf(stores));
    expect(found).not.toBe(before);
    await expect(stores.leadership.clearLeaseKind(leaving(epoch))).rejects.toThrow(READ_ONLY);
    // Sessions that are there already are not told that they may write again.
    await promote(database);
    await stores.leadership.clearLeaseKind(leaving(epoch));
  });

  it("ends the sweep with a write that it refuses, although it answers questions", async () => {
    await using database = await createDatabase();
    await using stores = openStores(database.connection, { size: 1 });
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql);
    const run = await readRun(stores, id);
    await failOver(database);
    const write = () => stores.store.apply(failing(run), fence);
    const resolving = resolveWrite(stores.store, run, fence, true, write);
    await expect(resolving).rejects.toThrow(StoreUnavailableError);
    await expect(resolving).rejects.toThrow(READ_ONLY);
  });
});

describe("a sweep whose server becomes read-only", () => {
  it.each([
    ["Postgres", () => ({})],
    ["Redis", () => ({ REDIS_URL: redisUrl() })],
  ])(
    "between question and write ends with exit code 1 and asks no further: lease in %s",
    async (_, leaseEnv) => {
      await using world = await createWorld();
      const runs = [await seedExited(world, 0, { overdueMs: 120_000 }), await seedExited(world, 1)];
      const env = { ...leaseEnv(), ...SHORT_LEASE };
      const report = await world.sweep({
        env: { ...env, WATCHDOG_CONCURRENCY: "1" },
        replace: atPoint("between the answer and the write", () => failOver(world.database)),
      });
      expect(report).toMatchObject({ status: "error", exitCode: 1, counts: { errors: 0 } });
      const asked = world.host.requests.filter(({ kind }) => kind === "lookup");
      expect(asked.map(({ sandboxId }) => sandboxId)).toEqual([runs[0]?.sandboxId]);

      await promote(world.database);
      // A lease in Postgres could not be given back there.
      const next = await vi.waitFor(() => world.sweep({ env }), { timeout: 20_000 });
      expect(next).toMatchObject({ status: "ok", counts: { completed: 1, failed: 1 } });
    },
  );

  it("before it begins is refused, and nothing is asked", async () => {
    await using world = await createWorld();
    const fleet = await seedProvenRuns(world);
    await failOver(world.database);
    await expect(world.sweep()).rejects.toThrow(READ_ONLY);
    expect(world.host.requests).toEqual([]);
    await promote(world.database);
    await fleet.expectSwept(await world.sweep());
  });
});

/** Sessions end, and those that come after them can only read, as on a standby. */
async function failOver(database: TestDatabase): Promise<void> {
  await readOnly(database, "on");
  await endWatchdogSessions(database.sql);
}

/** New sessions may write; those that are there stay as they are. */
function promote(database: TestDatabase): Promise<void> {
  return readOnly(database, "off");
}

async function readOnly({ sql: admin, name }: TestDatabase, value: "on" | "off"): Promise<void> {
  await admin.unsafe(`ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`);
}

async function backendOf({ database }: TestStores): Promise<number> {
  const [row] = await database.run(
    "asking",
    asking<{ readonly pid: number }>("SELECT pg_backend_pid() AS pid"),
  );
  return row?.pid ?? 0;
}
