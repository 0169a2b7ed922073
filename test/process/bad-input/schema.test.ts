/** A database that does not fit: `once` and `migrate` say what is missing and what to do about it. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { redisUrl } from "../../services/redis/redis.ts";
import { parseProblems } from "../../support/process/report-document.ts";
import { runOnce } from "../../support/process/worker-process.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const JSON_ARGS = ["once", "--output", "json"];

describe("once exits with 2", () => {
  for (const { name, prepare, says } of [
    {
      name: "without the worker's tables",
      prepare: "DROP SCHEMA watchdog CASCADE",
      says: "tables are missing (watchdog.leadership, watchdog.shards, watchdog.suspicions, watchdog.verdicts): run `run-watchdog migrate`",
    },
    {
      name: "without the row of the installation",
      prepare: "DELETE FROM watchdog.leadership",
      says: "watchdog.leadership has no row: run `run-watchdog migrate`",
    },
    {
      name: "without the host's table",
      prepare: "DROP TABLE automation_runs",
      says: "the host's table automation_runs is missing: point DATABASE_URL or AUTOMATION_DB_* at the host's database",
    },
    {
      name: "without columns it needs, naming all of them",
      prepare: "ALTER TABLE automation_runs DROP bash_command_id, DROP timeout_at",
      says: "automation_runs lacks the columns timeout_at, bash_command_id: update the host",
    },
  ]) {
    it(name, async () => {
      await using world = await createWorld();
      await world.database.sql.unsafe(prepare);
      await expectRefused(world.env, says);
    });
  }

  it("and names everything that is missing at once", async () => {
    await using world = await createWorld();
    await world.database.sql`DROP SCHEMA watchdog CASCADE`;
    await world.database.sql`ALTER TABLE automations DROP timeout`;
    const stderr = await expectRefused(world.env, "run `run-watchdog migrate`");
    expect(stderr).toContain("automations lacks the columns timeout");
    const { stdout } = await runOnce(world.env, JSON_ARGS);
    expect(parseProblems(stdout).problems).toEqual([
      expect.stringContaining("run `run-watchdog migrate`"),
      expect.stringContaining("automations lacks the columns timeout"),
    ]);
  });

  it("without privileges, naming what to grant", async () => {
    await using world = await createWorld();
    await using role = await createRole(world);
    await world.database.sql.unsafe(`GRANT SELECT ON automation_runs TO ${role.name}`);
    const stderr = await expectRefused(
      { ...world.env, DATABASE_URL: role.url },
      "the database user lacks privileges: grant it",
    );
    expect(stderr).toContain("USAGE on schema watchdog");
    expect(stderr).toContain("UPDATE on watchdog.leadership");
    expect(stderr).toContain("SELECT on automations");
    expect(stderr).toMatch(/UPDATE \([^)]*status[^)]*\) on automation_runs/);
    expect(stderr).not.toContain("SELECT on automation_runs");
    expect(stderr).not.toContain(role.password);
  });

  it("while workers with another kind of lease are at work", async () => {
    await using world = await createWorld();
    await world.database.sql`
      UPDATE watchdog.leadership SET lease_kind = 'redis', progressed_at = now()`;
    await expectRefused(
      world.env,
      "use the redis lease: give all of them the same REDIS_URL, or none",
    );
    await world.database.sql`
      UPDATE watchdog.leadership SET lease_kind = 'postgres', progressed_at = now()`;
    await expectRefused(
      { ...world.env, REDIS_URL: redisUrl() },
      "use the postgres lease: give all of them the same REDIS_URL, or none",
    );
  });
});

describe("once exits with 69, and names the remedy", () => {
  const lacking: readonly (readonly [string, Partial<URL>, string])[] = [
    [
      "with a wrong password, without repeating it",
      { username: "nobody_of_that_name", password: "hunter2" },
      "in DATABASE_URL or AUTOMATION_DB_*",
    ],
    [
      "with the name of a database that does not exist",
      { pathname: "/no_such_database" },
      "check the database name in DATABASE_URL or AUTOMATION_DB_*",
    ],
  ];
  it.each(lacking)("%s", async (_, changes, says) => {
    await using world = await createWorld();
    const url = Object.assign(new URL(world.database.url), changes);
    const { code, stdout, stderr } = await runOnce(
      { ...world.env, DATABASE_URL: url.href },
      JSON_ARGS,
    );
    expect({ code, status: JSON.parse(stdout).status }).toEqual({
      code: 69,
      status: "unavailable",
    });
    expect(stderr).toContain(says);
    expect(stderr).not.toContain("hunter2");
    expect(stderr).not.toMatch(/^ {4}at /m);
  });
});

describe("migrate", () => {
  it("tells with --check what is missing, creates it, and has nothing to do after that", async () => {
    await using world = await createWorld({ migrate: false });
    const { DATABASE_URL = "" } = world.env;
    const missing = await runOnce({ DATABASE_URL }, ["migrate", "--check"]);
    expect(missing).toMatchObject({ code: 2, stdout: expect.stringMatching(/^missing 0000_/) });
    expect(missing.stderr).toContain("run `run-watchdog migrate`");
    const applied = await runOnce({ DATABASE_URL }, ["migrate"]);
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringMatching(/^applied 0000_/) });
    const checked = await runOnce({ DATABASE_URL }, ["migrate", "--check"]);
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    expect(checked.stdout).toContain("up to date");
  });

  it("exits with 69 when Postgres is down", async () => {
    const DATABASE_URL = "postgres://watchdog:hunter2@127.0.0.1:1/automations";
    const { code, stdout, stderr } = await runOnce({ DATABASE_URL }, ["migrate"]);
    expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
    expect(stderr).toContain("ECONNREFUSED");
    expect(stderr).not.toContain("hunter2");
  });
});

describe("a schema newer than the program", () => {
  it("is tolerated by once and by migrate", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await world.database.sql.unsafe(`
      INSERT INTO watchdog.migrations (tag) VALUES ('9999_from_the_future');
      ALTER TABLE watchdog.leadership ADD future text;
      ALTER TABLE watchdog.verdicts ADD future text;
      CREATE TABLE watchdog.future (id int)`);
    const { code, stderr } = await runOnce(world.env, JSON_ARGS);
    expect(code, stderr).toBe(0);
    expect((await world.row(id)).status).toBe("FAILED");
    const { DATABASE_URL = "" } = world.env;
    expect((await runOnce({ DATABASE_URL }, ["migrate", "--check"])).code).toBe(0);
    expect((await runOnce({ DATABASE_URL }, ["migrate"])).code).toBe(0);
  });
});

async function expectRefused(env: World["env"], says: string): Promise<string> {
  const { code, stdout, stderr } = await runOnce(env, JSON_ARGS);
  expect(code, stderr).toBe(2);
  expect(stderr).toContain(says);
  const { problems } = parseProblems(stdout);
  expect(stderr).toContain(`run-watchdog: ${problems.join("; ")}\n`);
  expect(stderr).not.toMatch(/^ {4}at /m);
  return stderr;
}

/** A user without any privilege, gone with all of its grants when it is disposed of. */
async function createRole(world: World) {
  const { sql } = world.database;
  const name = `watchdog_test_${randomBytes(6).toString("hex")}`;
  const password = randomBytes(12).toString("hex");
  await sql.unsafe(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
  const url = new URL(world.database.url);
  url.username = name;
  url.password = password;
  return {
    name,
    password,
    url: url.href,
    async [Symbol.asyncDispose]() {
      await sql.unsafe(`DROP OWNED BY ${name}`);
      await sql.unsafe(`DROP ROLE ${name}`);
    },
  };
}
