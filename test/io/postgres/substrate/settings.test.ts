import { describe, expect, it } from "vitest";
import { createRole, WORKER_GRANTS } from "../../../services/postgres/database-role.ts";
import { seedProvenRuns } from "../../../support/world/proven-runs.ts";
import { createWorld, type World } from "../../../support/world/world.ts";

type Settings = Readonly<Record<string, string>>;

/** What owners of a database or of a role set there, for reasons of their own. */
const settings: readonly (readonly [string, Settings])[] = [
  ["dates in German, intervals in words", { datestyle: "German", intervalstyle: "sql_standard" }],
  ["intervals of Postgres' own", { intervalstyle: "postgres_verbose" }],
  ["a time zone that has been moved by seconds", { timezone: "Africa/Monrovia" }],
  ["backslashes in strings", { standard_conforming_strings: "off" }],
  ["bytes that are escaped", { bytea_output: "escape" }],
  ["numbers without their last digits", { extra_float_digits: "-15" }],
  ["names in quotes", { quote_all_identifiers: "on" }],
  ["null that equals null", { transform_null_equals: "on" }],
  ["generic plans", { plan_cache_mode: "force_generic_plan" }],
  ["compiled plans", { jit: "on", jit_above_cost: "0" }],
  ["locks that are waited for a millisecond", { lock_timeout: "1ms" }],
  ["statements of two seconds", { statement_timeout: "2s" }],
  ["sessions that may not idle for long", { idle_session_timeout: "20s" }],
  ["commits that nobody waits for", { synchronous_commit: "off" }],
];

describe("a whole sweep in a database with", () => {
  it.each(settings)("%s does what it always does", async (_, set) => {
    await using world = await createWorld();
    const fleet = await seedProvenRuns(world);
    await alter(world, `DATABASE ${world.database.name}`, set);
    await fleet.expectSwept(await world.sweep());
  });
});

describe("a whole sweep by a user with", () => {
  it.each(settings)(
    "%s does what it always does, also without start-up parameters",
    async (_, set) => {
      await using world = await createWorld();
      const fleet = await seedProvenRuns(world);
      await using role = await createRole(world.database, WORKER_GRANTS);
      await alter(world, `ROLE ${role.name}`, set);
      const env = { DATABASE_URL: role.url, WATCHDOG_DB_POOLER: "on" };
      await fleet.expectSwept(await world.sweep({ env }));
    },
  );

  it("a schema of its own for the host's tables finds them by its search path", async () => {
    await using world = await createWorld();
    const fleet = await seedProvenRuns(world);
    const { sql } = world.database;
    await using role = await createRole(world.database, WORKER_GRANTS);
    await sql.unsafe(`
      CREATE SCHEMA "Host's own";
      GRANT USAGE ON SCHEMA "Host's own" TO ${role.name};
      ALTER TABLE automation_runs SET SCHEMA "Host's own";
      ALTER TABLE automations SET SCHEMA "Host's own";
      ALTER ROLE ${role.name} SET search_path = "Host's own", public`);
    const env = { DATABASE_URL: role.url };
    const report = await world.sweep({ env });
    await sql`SET search_path = "Host's own"`;
    await fleet.expectSwept(report);
  });

  it("reads that commit and writes that do not says that the server is read-only", async () => {
    await using world = await createWorld();
    await seedProvenRuns(world);
    await alter(world, `DATABASE ${world.database.name}`, { default_transaction_read_only: "on" });
    await expect(world.sweep()).rejects.toThrow(
      /in a read-only transaction \(SQLSTATE 25006\): DATABASE_URL or AUTOMATION_DB_\* has to lead to a server that takes writes, also after a failover$/,
    );
  });
});

async function alter({ database }: World, whose: string, set: Settings): Promise<void> {
  for (const [name, value] of Object.entries(set)) {
    await database.sql.unsafe(`ALTER ${whose} SET ${name} = '${value}'`);
  }
}
