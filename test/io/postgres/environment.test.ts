import { describe, expect, it, vi } from "vitest";
import { migrate } from "../../../src/io/postgres/migrate.ts";
import { createDatabase } from "../../services/postgres/database.ts";
import { asking } from "../../support/stands/asking.ts";
import { openStores } from "../../support/stands/stores.ts";

/** All that postgres.js would look at, each with a value that would do harm. */
const VARIABLES = {
  PGHOST: "database.invalid",
  PGPORT: "1",
  PGDATABASE: "not_here",
  PGUSER: "nobody_of_that_name",
  PGUSERNAME: "nobody_of_that_name",
  PGPASSWORD: "wrong",
  PGSSL: "require",
  PGSSLNEGOTIATION: "direct",
  PGAPPNAME: "somebody-else",
  PGTARGETSESSIONATTRS: "any",
  PGMAX: "7",
  PGMAX_LIFETIME: "0.001",
  PGIDLE_TIMEOUT: "0.001",
  PGCONNECT_TIMEOUT: "0.001",
  PGFETCH_TYPES: "true",
  PGMAX_PIPELINE: "100",
  PGDEBUG: "true",
};

describe("PG* variables of the environment", () => {
  it("change nothing about a connection or a migration", async () => {
    await using database = await createDatabase();
    using _ = setVariables(VARIABLES);
    await using stores = openStores(database.connection, { size: 1 });
    const ask = () =>
      stores.database.run(
        "asking",
        asking(`
          SELECT pg_backend_pid() AS pid, current_setting('application_name') AS name,
                 current_user AS user, current_database() AS database`),
      );
    const [first] = await ask();
    expect(first).toEqual({
      pid: expect.any(Number),
      name: "run-watchdog",
      user: database.connection.user,
      database: database.name,
    });
    // Longer than the limits above; those are for connections that are not ours.
    await database.sql`SELECT pg_sleep(0.1)`;
    expect(await ask()).toEqual([first]);
    const options = { check: true, withHostTables: false };
    await expect(migrate(database.connection, options)).resolves.toMatchObject({ applied: [] });
  });

  it("do not stand in for a password that is not there", async () => {
    await using database = await createDatabase();
    using _ = setVariables({ PGPASSWORD: database.connection.password ?? "" });
    await using stores = openStores({ ...database.connection, password: null });
    await expect(stores.leadership.read()).rejects.toThrow(/SQLSTATE 28P01/);
  });
});

function setVariables(variables: Readonly<Record<string, string>>): Disposable {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
  return { [Symbol.dispose]: () => void vi.unstubAllEnvs() };
}
