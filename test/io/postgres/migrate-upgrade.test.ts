import { describe, expect, it } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { StoreSchemaError } from "../../../src/watchdog/errors.ts";
import { createDatabase, type TestDatabase } from "../../services/postgres/database.ts";
import {
  epochRequest,
  FREELY,
  noCheck,
  openStores,
  queryNow,
} from "../../support/stands/stores.ts";
import {
  createFirstSchema,
  migrationTags,
  sweepWithFirstSchema,
} from "../../support/world/first-schema.ts";

const APPLY = { check: false, withHostTables: false };
const NEW = (await migrationTags()).slice(1);

describe("migrate, with the schema of the first version and its rows", () => {
  it("adds what is new and leads to what a new database gets", async () => {
    await using upgraded = await firstDatabase();
    await using fresh = await createDatabase();
    const check = { ...APPLY, check: true };
    expect(await migrate(upgraded.connection, check)).toMatchObject({ applied: NEW });
    expect(await migrate(upgraded.connection, APPLY)).toMatchObject({ applied: NEW });
    expect(await shapeOf(upgraded)).toEqual(await shapeOf(fresh));
  });

  it("keeps every row as it was", async () => {
    await using database = await firstDatabase();
    await sweepWithFirstSchema(database);
    const before = await rowsOf(database);
    await migrate(database.connection, APPLY);
    expect(await rowsOf(database)).toEqual(before);
  });

  it("lets a worker of this version go on where the old one stopped", async () => {
    await using database = await firstDatabase();
    const { id } = await sweepWithFirstSchema(database);
    await using stores = openStores(database.connection);
    const waiting = stores.leadership.read();
    await expect(waiting).rejects.toThrow(StoreSchemaError);
    await expect(waiting).rejects.toThrow(
      "the worker's tables are missing (watchdog.shards, watchdog.suspicions): run `run-watchdog migrate`",
    );
    await migrate(database.connection, APPLY);

    expect(await stores.leadership.read()).toMatchObject({ epoch: 7, lastStatus: "partial" });
    const begun = await stores.leadership.begin(epochRequest({ trigger: "once" }), noCheck);
    expect(begun).toMatchObject({ kind: "begun", epoch: 8, throttle: FREELY });
    const query = await queryNow(stores);
    expect(await stores.store.read(id, query)).toMatchObject({ stale: true, suspicion: null });
    const facts = await stores.store.guardFacts(2);
    expect(facts).toMatchObject({ confirmable: 0, presumedLastHour: 1 });
    expect(await stores.journal.pendingCleanups()).toBe(1);
  });

  it("asks nothing of a worker of the first version: what is new in its tables may be left out", async () => {
    await using first = await firstDatabase();
    const before = await columnsOf(first);
    await migrate(first.connection, APPLY);
    const after = await columnsOf(first);
    const known = new Set(before.map(({ name }) => name));
    expect(after.filter(({ name }) => known.has(name))).toEqual(before);
    const added = after.filter(({ name }) => !known.has(name));
    expect(added).not.toEqual([]);
    for (const column of added) expect(column).toMatchObject({ optional: true });
  });
});

async function firstDatabase(): Promise<TestDatabase> {
  const database = await createDatabase({ migrate: false });
  await createFirstSchema(database);
  return database;
}

/** Every column and index of the worker's schema. */
function shapeOf({ sql }: TestDatabase): Promise<unknown> {
  return sql`
    SELECT table_name, column_name, data_type, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'watchdog'
    UNION ALL
    SELECT tablename, indexname, indexdef, NULL, NULL FROM pg_indexes WHERE schemaname = 'watchdog'
    ORDER BY 1, 2`;
}

/** What the first version's tables hold, in their own columns. */
async function rowsOf({ sql }: TestDatabase): Promise<unknown> {
  return sql`
    SELECT (SELECT json_agg(to_jsonb(v) - ARRAY['shard', 'cleanup_due_at', 'cleanup_stamp_at', 'overturned_at'])
       FROM watchdog.verdicts v) AS verdicts,
      (SELECT json_agg(r ORDER BY r.id) FROM automation_runs r) AS runs,
      (SELECT to_jsonb(l) - ARRAY['api_paused_until', 'api_concurrency', 'paused_until', 'pause_reason', 'paused_by']
       FROM watchdog.leadership l) AS leadership`;
}

/** The columns of the first version's tables. */
function columnsOf({ sql }: TestDatabase) {
  return sql<{ readonly name: string; readonly type: string; readonly optional: boolean }[]>`
    SELECT table_name || '.' || column_name AS name, data_type AS type,
      is_nullable = 'YES' OR column_default IS NOT NULL AS optional
    FROM information_schema.columns
    WHERE table_schema = 'watchdog' AND table_name IN ('leadership', 'verdicts') ORDER BY 1`;
}
