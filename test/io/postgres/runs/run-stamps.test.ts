import { describe, expect, it } from "vitest";
import type { TerminalWrite } from "../../../../src/watchdog/store-ports.ts";
import { type RunSeed, seedRun } from "../../../fake-host/seed.ts";
import { createDatabase, type TestDatabase } from "../../../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../../../services/postgres/database-role.ts";
import { completing, openStores, readRun, takeEpoch } from "../../../support/stands/stores.ts";

const WRITTEN = { kind: "written" };
const DEFERRED = { cleanupInMs: 300_000, deletionInMs: 3_600_000 };
const NOTHING = { state: "none", next: null, due: null, stampAt: null, stamp: null };
const UNTOLD = { state: "pending", next: "01:00:00", due: "01:00:00", stampAt: null, stamp: null };

describe("PostgresRunStore.apply and the host's stamp", () => {
  it("stamps the row, and the journal alike, when the deletion is deferred", async () => {
    await using database = await createDatabase();
    expect(await ended(database, DEFERRED)).toEqual({
      state: "pending",
      next: "00:05:00",
      due: "01:00:00",
      stampAt: "01:00:00",
      stamp: "01:00:00",
    });
  });

  it("does not stamp what is not deferred", async () => {
    await using database = await createDatabase();
    expect(await ended(database, { cleanupInMs: 300_000 })).toEqual({
      state: "pending",
      next: "00:05:00",
      due: "00:05:00",
      stampAt: null,
      stamp: null,
    });
    expect(await ended(database, { cleanupInMs: 0 })).toMatchObject({
      next: "00:00:00",
      due: null,
    });
  });

  it("leaves a stamp alone that is there already", async () => {
    await using database = await createDatabase();
    const before = "SET sandbox_cleanup_due_at = now() + interval '1 day'";
    const row = await ended(database, { cleanupInMs: 0 }, {}, before);
    expect(row).toMatchObject({ stampAt: null, stamp: expect.stringMatching(/^23:59:|^1 day/) });
  });

  const unstamped: readonly (readonly [string, RunSeed])[] = [
    ["names no sandbox", { sandboxId: null }],
    ["names an empty one", { sandboxId: "" }],
    ["belongs to an automation that keeps it", { automation: { keepAlive: true } }],
  ];
  it.each(unstamped)("does not stamp a run that %s", async (_, seed) => {
    await using database = await createDatabase();
    expect(await ended(database, DEFERRED, seed)).toEqual(NOTHING);
  });

  it("keeps the sandbox untouched for as long where the host has no such column", async () => {
    await using database = await createDatabase();
    await database.sql`ALTER TABLE automation_runs DROP COLUMN sandbox_cleanup_due_at`;
    await using stores = openStores(database.connection);
    expect(await endedWith(stores, database, DEFERRED, "NULL")).toEqual(UNTOLD);
    expect(stores.logged).toEqual([]);
  });

  it("does so as well, and says why, where it may not write that column", async () => {
    await using database = await createDatabase();
    const grants = WORKER_GRANTS.map((grant) => grant.replace(", sandbox_cleanup_due_at", ""));
    await using role = await createRole(database, grants);
    await using stores = openStores(role.connection);
    expect(await endedWith(stores, database, DEFERRED)).toEqual(UNTOLD);
    expect(stores.logged).toEqual([
      "sandbox_cleanup_due_at is left alone: sandboxes are deleted without being paused first, and none that the host has stamped; the database user lacks privileges: grant it UPDATE (sandbox_cleanup_due_at) on automation_runs",
    ]);
  });

  it("does so as well, and says why, where a view shows the column without letting it be written", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      ALTER TABLE automation_runs RENAME TO jobs;
      CREATE VIEW automation_runs AS
        SELECT id, automation_id, status, error_detail, created_at, started_at, completed_at,
               timeout_at, conversation_id, sandbox_id, bash_command_id, status_detail,
               sandbox_cleanup_due_at + interval '0' AS sandbox_cleanup_due_at FROM jobs`);
    await using stores = openStores(database.connection);
    expect(await endedWith(stores, database, DEFERRED)).toEqual(UNTOLD);
    expect(stores.logged).toEqual([
      expect.stringMatching(/make it an updatable column of the view$/),
    ]);
  });

  it("stamps as soon as it may, without a restart", async () => {
    await using database = await createDatabase();
    const grants = WORKER_GRANTS.map((grant) => grant.replace(", sandbox_cleanup_due_at", ""));
    await using role = await createRole(database, grants);
    await using stores = openStores(role.connection);
    expect(await endedWith(stores, database, DEFERRED)).toEqual(UNTOLD);
    await database.sql.unsafe(
      `GRANT UPDATE (sandbox_cleanup_due_at) ON automation_runs TO ${role.name}`,
    );
    await stores.leadership.read();
    expect(await endedWith(stores, database, DEFERRED)).toMatchObject({ stamp: "01:00:00" });
  });

  it("says it again when the host gets the column while the worker runs", async () => {
    await using database = await createDatabase();
    const { sql } = database;
    await sql`ALTER TABLE automation_runs DROP COLUMN sandbox_cleanup_due_at`;
    const grants = WORKER_GRANTS.map((grant) => grant.replace(", sandbox_cleanup_due_at", ""));
    await using role = await createRole(database, grants);
    await using stores = openStores(role.connection);
    await stores.leadership.read();
    expect(stores.logged).toEqual([]);
    await sql`ALTER TABLE automation_runs ADD COLUMN sandbox_cleanup_due_at timestamptz`;
    await stores.leadership.read();
    await stores.leadership.read();
    expect(stores.logged).toHaveLength(1);
  });
});

async function ended(
  database: TestDatabase,
  changes: Partial<TerminalWrite>,
  seed: RunSeed = {},
  before?: string,
) {
  await using stores = openStores(database.connection);
  const { id } = await seedRun(database.sql, seed);
  if (before !== undefined) {
    await database.sql.unsafe(`UPDATE automation_runs ${before} WHERE id = '${id}'`);
  }
  return await endRun(stores, database, id, changes);
}

async function endedWith(
  stores: ReturnType<typeof openStores>,
  database: TestDatabase,
  changes: Partial<TerminalWrite>,
  stamp?: string,
) {
  const { id } = await seedRun(database.sql);
  return await endRun(stores, database, id, changes, stamp);
}

/** What the journal and the row say then, as distances from the verdict. */
async function endRun(
  stores: ReturnType<typeof openStores>,
  { sql }: TestDatabase,
  id: string,
  changes: Partial<TerminalWrite>,
  stamp = "r.sandbox_cleanup_due_at",
) {
  const fence = await takeEpoch(stores);
  const write = completing(await readRun(stores, id), changes);
  expect(await stores.store.apply(write, fence)).toEqual(WRITTEN);
  const [row] = await sql.unsafe(`
    SELECT v.cleanup_state AS state, (v.cleanup_next_at - v.decided_at)::text AS next,
           (v.cleanup_due_at - v.decided_at)::text AS due,
           (v.cleanup_stamp_at - v.decided_at)::text AS "stampAt",
           (${stamp}::timestamptz - v.decided_at)::text AS stamp
    FROM automation_runs r JOIN watchdog.verdicts v ON v.run_id = r.id WHERE r.id = '${id}'`);
  return row;
}
