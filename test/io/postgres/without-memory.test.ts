import { describe, expect, it } from "vitest";
import { StoreSchemaError } from "../../../src/watchdog/errors.ts";
import type { StaleQuery } from "../../../src/watchdog/store-ports.ts";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import { createRole, MEMORY_GRANTS, READER_GRANTS } from "../../services/postgres/database-role.ts";
import { openStores, queryAt, type TestStores } from "../../support/stands/stores.ts";

describe("stores that only read", () => {
  it("need SELECT on the host's two tables, and find as much as beside empty tables of our own", async () => {
    await using database = await createDatabase();
    await seed(database);
    const answers: unknown[] = [];
    for (const grants of [[...READER_GRANTS, ...MEMORY_GRANTS], READER_GRANTS]) {
      await using role = await createRole(database, grants);
      await using stores = openStores(role.connection, {}, "read");
      answers.push(await readAll(stores));
    }
    await database.sql`DROP SCHEMA watchdog CASCADE`;
    await using role = await createRole(database, READER_GRANTS);
    await using stores = openStores(role.connection, {}, "read");
    answers.push(await readAll(stores));
    const [remembering, ...others] = answers;
    expect(remembering).toMatchObject({ backlog: { count: 2 }, runs: [{}, {}, {}] });
    for (const other of others) expect(other).toEqual(remembering);
    expect(stores.logged).toEqual([expect.stringMatching(/tables are missing or cannot be read/)]);
  });

  it("see what is remembered where they may", async () => {
    await using database = await createDatabase();
    const [id = ""] = await seed(database);
    await database.sql`
      INSERT INTO watchdog.suspicions (run_id, sandbox_id, bash_command_id, began_at,
        first_deadline_at, noted_at, presumed_times)
      SELECT id, sandbox_id, bash_command_id, coalesce(started_at, created_at),
        timeout_at, now() - interval '1 hour', 1
      FROM automation_runs WHERE id = ${id}`;
    await using role = await createRole(database, [...READER_GRANTS, ...MEMORY_GRANTS]);
    await using stores = openStores(role.connection, {}, "read");
    const query = queryAt(await stores.leadership.horizon());
    expect((await stores.store.guardFacts(2)).confirmable).toBe(1);
    expect(await stores.store.read(id, query)).toMatchObject({ suspicion: { presumedTimes: 1 } });
    expect(stores.logged).toEqual([]);
  });

  it("find out that our own tables have come meanwhile", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, READER_GRANTS);
    await using stores = openStores(role.connection, {}, "read");
    await stores.leadership.horizon();
    expect(await stores.database.remembers()).toBe(false);
    for (const grant of MEMORY_GRANTS) await database.sql.unsafe(`GRANT ${grant} ${role.name}`);
    await stores.leadership.horizon();
    expect(await stores.database.remembers()).toBe(true);
  });

  it("name what they cannot read of the host's tables", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, ["SELECT ON automation_runs TO"]);
    await using stores = openStores(role.connection, {}, "read");
    const outcome = stores.leadership.horizon();
    await expect(outcome).rejects.toThrow(StoreSchemaError);
    await expect(outcome).rejects.toThrow("grant it SELECT on automations");
  });

  it("need the privileges to write as soon as they are to write", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, READER_GRANTS);
    await using stores = openStores(role.connection);
    await expect(stores.leadership.horizon()).rejects.toThrow(/UPDATE .* on automation_runs/);
  });
});

/** Past its deadline, without one, and one that should be alive. */
async function seed({ sql }: TestDatabase): Promise<readonly string[]> {
  const runs = [
    await seedRun(sql),
    await seedRun(sql, { timeoutAt: null, startedAgoMs: 2 * 86_400_000 }),
    await seedRun(sql, { overdueMs: -600_000 }),
  ];
  return runs.map(({ id }) => id);
}

async function readAll({ store, leadership, journal }: TestStores): Promise<object> {
  const horizon = await leadership.horizon();
  const query: StaleQuery = { ...queryAt(horizon), includeSuspected: true };
  const pages = [
    await store.stalePage(query, null, 10),
    await store.stalePage(query, { part: "no-deadline", id: null }, 10),
    await store.stalePage(query, { part: "suspected", id: null }, 10),
  ];
  const controls = await store.controlRuns(query, ["sandboxId"], 3);
  const ids = [...pages.flatMap((page) => page.ids), ...controls.map((run) => run.id)];
  const runs = await Promise.all(ids.map((id) => store.read(id, query)));
  const { oldestOverdueMs: _, ...backlog } = await store.backlog(query);
  return {
    backlog,
    pages,
    runs: runs.map((run) => run && { ...run, readAt: "" }),
    guard: await store.guardFacts(2),
    waiting: await store.waiting(),
    cleanups: await journal.pendingCleanups(),
  };
}
