import type { Sql } from "postgres";
import { describe, expect, it } from "vitest";
import { seedRun } from "../fake-host/seed.ts";
import { freePort } from "../services/free-port.ts";
import { startStartupGate } from "../services/pgbouncer/startup-gate.ts";
import { createDatabase, type TestDatabase } from "../services/postgres/database.ts";
import { createRole, WORKER_GRANTS } from "../services/postgres/database-role.ts";
import { doctorInProcess } from "./doctor-in-process.ts";

/** Nobody listens there: what the backend says is other tests' business. */
const BACKEND = {
  AUTOMATION_OPENHANDS_API_BASE_URL: "http://127.0.0.1:1",
  AUTOMATION_SERVICE_KEY: "k",
};

function diagnose(
  { url }: Pick<TestDatabase, "url">,
  extra: Readonly<Record<string, string>> = {},
) {
  return doctorInProcess({ ...BACKEND, DATABASE_URL: url, ...extra });
}

describe("doctor on Postgres", () => {
  it("finds everything in order for a user with the worker's privileges and no others", async () => {
    await using database = await createDatabase();
    const more = ["SELECT ON watchdog.migrations TO"];
    await using role = await createRole(database, [...WORKER_GRANTS, ...more]);
    const { of } = await diagnose(role);
    expect(of("postgres")).toMatchObject({
      result: "ok",
      found: expect.stringContaining(role.name),
    });
    const links = ["postgres clock", "pooler", "host tables", "own tables", "privileges"];
    for (const link of [...links, "stale page", "sweeps", "workers", "host's watchdog"]) {
      expect(of(link)).toMatchObject({ link, result: "ok" });
    }
  });

  it("fails when nobody answers, skips what depends on it, and goes on with the rest", async () => {
    const port = await freePort("127.0.0.1");
    const { of, exitCode } = await diagnose({ url: `postgres://u:pw@127.0.0.1:${port}/x` });
    expect(exitCode).toBe(1);
    const { result, found, remedies } = of("postgres");
    expect(result).toBe("failure");
    expect(found).toContain("ECONNREFUSED");
    expect(remedies).toEqual([expect.stringContaining("DATABASE_URL")]);
    for (const link of ["privileges", "stale page", "workers", "host's watchdog"]) {
      expect(of(link)).toMatchObject({ result: "skipped", found: 'needs "postgres"' });
    }
    expect(of("backend").result).toBe("failure");
  });

  it("fails for a wrong password without showing it", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, WORKER_GRANTS);
    const url = Object.assign(new URL(role.url), { password: "not-this-one" }).href;
    const { of, document } = await diagnose({ url });
    expect(of("postgres").result).toBe("failure");
    expect(JSON.stringify(document)).not.toContain("not-this-one");
  });

  it("writes out every GRANT that the user lacks, and they are what is needed", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, ["SELECT ON automations, automation_runs TO"]);
    const before = await diagnose(role);
    const { result, remedies } = before.of("privileges");
    expect(result).toBe("failure");
    expect(remedies).toContain(
      `GRANT SELECT, INSERT, UPDATE, DELETE ON watchdog.verdicts TO "${role.name}";`,
    );
    for (const grant of remedies) await database.sql.unsafe(grant);
    const after = await diagnose(role);
    expect(after.of("privileges").result).toBe("ok");
  });

  it("looks at what it may with nothing but SELECT, and says what it could not look at", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, ["SELECT ON automations, automation_runs TO"]);
    const { of } = await diagnose(role);
    for (const link of ["postgres", "postgres clock", "host tables"]) {
      expect(of(link).result).toBe("ok");
    }
    expect(of("own tables").remedies).toEqual([
      `to have that checked: GRANT SELECT ON watchdog.migrations TO "${role.name}";`,
    ]);
    for (const link of ["stale page", "workers", "host's watchdog"]) {
      const { result, found } = of(link);
      expect({ link, result }).toEqual({ link, result: "warning" });
      expect(found).toMatch(/^could not be looked at: .*permission denied/);
    }
  });

  it("asks for nothing but SELECT on the host's tables where it is to observe", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, ["SELECT ON automations, automation_runs TO"]);
    const { of, document } = await diagnose(role, { WATCHDOG_MODE: "observe" });
    for (const link of ["host tables", "own tables", "privileges", "stale page"]) {
      expect({ link, result: of(link).result }).toEqual({ link, result: "ok" });
    }
    expect(of("mode").result).toBe("warning");
    const failed = document.checks.filter(({ result }) => result === "failure");
    expect(failed.map(({ link }) => link)).toEqual(["backend"]);
  });

  it("fails for the tables that were never made, with the command that makes them", async () => {
    await using database = await createDatabase({ migrate: false });
    await database.sql.unsafe("DROP SCHEMA IF EXISTS watchdog CASCADE");
    const { of, document } = await diagnose(database);
    expect(of("own tables")).toMatchObject({
      result: "failure",
      remedies: ["run `run-watchdog migrate`"],
    });
    // Not what to grant on them.
    expect(JSON.stringify(document)).not.toContain("grant");
  });

  const older: readonly (readonly [string, string])[] = [
    ["lack a column", "ALTER TABLE watchdog.suspicions DROP COLUMN look_at"],
    ["lack a migration alone", "DELETE FROM watchdog.migrations WHERE tag LIKE '0004%'"],
  ];
  it.each(older)("fails for tables of ours that %s", async (_, change) => {
    await using database = await createDatabase();
    await database.sql.unsafe(change);
    const { of } = await diagnose(database);
    expect(of("own tables")).toMatchObject({
      result: "failure",
      remedies: ["run `run-watchdog migrate`"],
    });
  });

  it("fails for a column that the host's table lacks, and plans nothing on it", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe("ALTER TABLE automation_runs DROP COLUMN bash_command_id");
    const { of } = await diagnose(database);
    expect(of("host tables")).toMatchObject({
      result: "failure",
      found: "automation_runs lacks the columns bash_command_id",
      remedies: ["update the host or complete the view"],
    });
    expect(of("stale page")).toMatchObject({ result: "skipped", found: 'needs "host tables"' });
  });

  it("names the optional columns that an older host lacks", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe("ALTER TABLE automation_runs DROP COLUMN status_detail");
    const { of } = await diagnose(database);
    expect(of("host tables")).toMatchObject({
      result: "ok",
      found: expect.stringContaining("does without the optional status_detail"),
    });
  });

  it("warns when the index for the stale page is missing", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe("DROP INDEX ix_automation_runs_status_timeout_at");
    const result = await diagnose(database);
    expect(result.of("stale page")).toMatchObject({
      result: "warning",
      found: expect.stringContaining("CREATE INDEX CONCURRENTLY ON automation_runs"),
    });
  });

  it("looks through a view at the plan of the table behind it", async () => {
    await using database = await createDatabase();
    await database.sql.unsafe(`
      ALTER TABLE automation_runs RENAME TO jobs;
      CREATE VIEW automation_runs AS SELECT * FROM jobs`);
    expect((await diagnose(database)).of("stale page").result).toBe("ok");
    await database.sql.unsafe(`
      DROP INDEX ix_automation_runs_status_timeout_at, ix_automation_runs_status_created_at,
        ix_automation_runs_status, ix_automation_runs_timeout_at`);
    expect((await diagnose(database)).of("stale page")).toMatchObject({
      result: "warning",
      remedies: [expect.stringContaining("behind the view")],
    });
  });

  it("fails for a user that may only read, in that role's own settings", async () => {
    await using database = await createDatabase();
    await using role = await createRole(database, WORKER_GRANTS);
    await database.sql.unsafe(`ALTER ROLE ${role.name} SET default_transaction_read_only = on`);
    const { of } = await diagnose(role);
    expect(of("postgres")).toMatchObject({
      result: "failure",
      found: expect.stringContaining("takes no writes"),
    });
  });

  it.each([
    ["auto", "warning"],
    ["on", "ok"],
  ])("notes a transaction pooler with WATCHDOG_DB_POOLER=%s: %s", async (setting, result) => {
    await using database = await createDatabase();
    await using gate = await startStartupGate(database.connection);
    const url = Object.assign(new URL(database.url), { port: String(gate.port) }).href;
    const { of } = await diagnose({ url }, { WATCHDOG_DB_POOLER: setting });
    expect(of("pooler").result).toBe(result);
    expect(of("own tables").result).toBe("ok");
  });

  it("writes nothing", async () => {
    await using database = await createDatabase();
    const written = () => database.sql<{ readonly rows: string }[]>`
      SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text AS rows
      FROM pg_stat_user_tables`;
    await database.sql`SELECT pg_stat_force_next_flush()`;
    const before = await written();
    await diagnose(database);
    // The session of the doctor is over, so what it did is counted.
    await database.sql`SELECT pg_stat_clear_snapshot()`;
    expect(await written()).toEqual(before);
    const [row] = await database.sql`SELECT epoch, holder FROM watchdog.leadership`;
    expect(row).toMatchObject({ epoch: "0", holder: null });
  });
});

describe("doctor on the rest of the fleet", () => {
  it("compares the fingerprints of the workers that were seen lately", async () => {
    await using database = await createDatabase();
    await database.sql`
      INSERT INTO watchdog.workers (holder, version, fingerprint, lease_kind, started_at, seen_at)
      VALUES ('one/1/ab', '0', 'ffffffffffff', 'postgres', now(), now()),
        ('old/1/cd', '0', 'eeeeeeeeeeee', 'postgres', now(), now() - interval '1 day')`;
    const { of } = await diagnose(database);
    const { result, remedies } = of("workers");
    expect(result).toBe("warning");
    expect(remedies[0]).toBe("one/1/ab: version 0, fingerprint ffffffffffff");
    expect(remedies.join()).not.toContain("old/1/cd");
  });

  it("notes that the fleet keeps its lease elsewhere", async () => {
    await using database = await createDatabase();
    await database.sql`UPDATE watchdog.leadership SET lease_kind = 'redis'`;
    const { of } = await diagnose(database);
    expect(of("lease kind")).toMatchObject({ result: "warning" });
  });

  it("notes a pause and its end", async () => {
    await using database = await createDatabase();
    await database.sql`UPDATE watchdog.leadership SET paused_until = now() + interval '2 hours'`;
    expect((await diagnose(database)).of("sweeps")).toMatchObject({ result: "warning" });
    await database.sql`UPDATE watchdog.leadership SET paused_until = now() - interval '1 s'`;
    expect((await diagnose(database)).of("sweeps")).toMatchObject({ result: "ok" });
  });

  it("counts the runs that others ended as timed out, and not those in the journal", async () => {
    await using database = await createDatabase();
    const ended = await endAsTimedOut(database.sql);
    const first = await diagnose(database, { AUTOMATION_WATCHDOG_INTERVAL_SECONDS: "60" });
    expect(first.of("host's watchdog")).toMatchObject({
      result: "warning",
      found: expect.stringMatching(/others ended 1 runs .*its interval here is 1 min/),
    });
    await database.sql`
      INSERT INTO watchdog.verdicts (run_id, epoch, holder, trigger, decided_at, outcome, basis, reason,
        evidence, cleanup_state, first_run_state)
      VALUES (${ended}, 1, 'h', 'cron', now(), 'FAILED', 'presumption', 'r', '{}', 'none', 'none')`;
    expect((await diagnose(database)).of("host's watchdog").result).toBe("ok");
  });

  it("notes a rule of the host that counts every failure", async () => {
    await using database = await createDatabase();
    const rule = { AUTOMATION_CONSECUTIVE_FAILURE_DISABLE_THRESHOLD: "4" };
    expect((await diagnose(database, rule)).of("auto-disable").result).toBe("warning");
  });
});

async function endAsTimedOut(sql: Sql): Promise<string> {
  const { id } = await seedRun(sql);
  await sql`
    UPDATE automation_runs SET status = 'FAILED', completed_at = now(),
      error_detail = 'Timed out: No bash output found'
    WHERE id = ${id}`;
  return id;
}
