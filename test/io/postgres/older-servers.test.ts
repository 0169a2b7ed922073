import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PostgresLease } from "../../../src/io/postgres/leadership/lease.ts";
import { seedRun } from "../../fake-host/seed.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { type EmbeddedPostgres, startPostgres } from "../../services/postgres/embedded-postgres.ts";
import { tourStores } from "../../support/stands/store-tour.ts";
import {
  deferring,
  openStores,
  queryNow,
  readRun,
  takeEpoch,
} from "../../support/stands/stores.ts";

const OLDEST = 14;
const INSTALLED = "/usr/lib/postgresql";

/** What this machine has beside the PostgreSQL of the test run, which is among them in any case. */
const servers: readonly (readonly [string, string | null])[] = [
  ["the one tests use by default", null],
  ...installedVersions().map(
    (version) => [`PostgreSQL ${version}`, join(INSTALLED, version)] as const,
  ),
];

describe.each(servers)("on %s", (_, nativeDir) => {
  let server: EmbeddedPostgres;

  beforeAll(async () => {
    const settings = { fsync: "off" };
    server = await startPostgres(nativeDir === null ? { settings } : { settings, nativeDir });
  });

  afterAll(() => server?.stop());

  it("migrates, sweeps and keeps its journal", async () => {
    await using database = await createDatabase({ server: server.url() });
    await using stores = openStores(database.connection);
    await tourStores(stores, database.sql);
  });

  it("elects with the Postgres lease", async () => {
    await using database = await createDatabase({ server: server.url() });
    await using stores = openStores(database.connection);
    const lease = new PostgresLease(stores.database);
    const { installation } = await stores.leadership.read();
    const answers = await Promise.all(
      Array.from({ length: 4 }, (_unused, index) =>
        lease.acquire(installation, `w${index}/t`, 60_000),
      ),
    );
    expect(answers.filter(({ kind }) => kind === "acquired")).toHaveLength(1);
  });

  it("guards by microseconds when times are printed with ambiguous names of zones", async () => {
    await using database = await createDatabase({ server: server.url() });
    await database.sql.unsafe(`
      ALTER DATABASE ${database.name} SET datestyle = 'SQL, DMY';
      ALTER DATABASE ${database.name} SET timezone = 'Asia/Kolkata'`);
    await using stores = openStores(database.connection);
    const fence = await takeEpoch(stores);
    const { id } = await seedRun(database.sql, { timeoutAt: "2026-03-04T11:00:00.000007Z" });
    const run = await readRun(stores, id);
    expect(Date.parse(run.timeoutAt ?? "")).toBe(Date.UTC(2026, 2, 4, 11));
    expect(await stores.store.defer(deferring(run), fence)).toEqual({ kind: "written" });
  });

  it("counts a deadline of minus infinity as overdue", async () => {
    await using database = await createDatabase({ server: server.url() });
    await using stores = openStores(database.connection);
    await seedRun(database.sql, { timeoutAt: "-infinity" });
    const backlog = await stores.store.backlog(await queryNow(stores));
    expect(backlog.count).toBe(1);
  });
});

function installedVersions(): readonly string[] {
  if (!existsSync(INSTALLED)) return [];
  return readdirSync(INSTALLED).filter(
    (version) => Number(version) >= OLDEST && existsSync(join(INSTALLED, version, "bin", "initdb")),
  );
}
