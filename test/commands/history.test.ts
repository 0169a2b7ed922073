import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { StoreSchemaError, StoreUnavailableError } from "../../src/watchdog/errors.ts";
import { freePort } from "../services/free-port.ts";
import { createRole } from "../services/postgres/database-role.ts";
import { runOnce } from "../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";
import { READER_GRANTS, readerInProcess } from "./reader-in-process.ts";

const OVERRIDE = { overrideReason: "the cluster was rebuilt" };

describe("history", () => {
  it("shows the newest verdicts first, 80 columns wide, with what a person has to know of them", async () => {
    await using world = await createWorld();
    const { proven, presumed } = await endTwo(world);
    await overturn(world, presumed);
    const { exitCode, stdout } = await readerInProcess(world.env, ["history"]);
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    const [day, head, ...rest] = lines.map((line) => line.replace(/^\d\d:\d\d:\d\d/, "HH:MM:SS"));
    expect(day).toMatch(/^\d{4}-\d\d-\d\d \(UTC\)$/);
    expect(head).toBe("TIME     RUN                                  VERDICT   REASON");
    expect(rest.filter((line) => !/^$|UTC|^TIME/.test(line))).toEqual([
      `HH:MM:SS ${presumed} presumed  sandbox missing`,
      "         overturned: the run is COMPLETED by now",
      "         guard overridden: the cluster was rebuilt",
      `HH:MM:SS ${proven} completed exit_code=0`,
      "2 verdicts, 1 presumed, 1 overturned",
    ]);
  });

  it("prints one document with everything that the journal has", async () => {
    await using world = await createWorld();
    const { proven, presumed } = await endTwo(world);
    const { stdout } = await readerInProcess(world.env, ["history", "--json"]);
    const { version, verdicts, more } = JSON.parse(stdout);
    expect({ version, more }).toEqual({ version: 1, more: false });
    expect(verdicts).toMatchObject([
      { runId: presumed, outcome: "FAILED", basis: "presumption", ...OVERRIDE, overturned: false },
      { runId: proven, outcome: "COMPLETED", basis: "proof", evidence: { exit_code: 0 } },
    ]);
    expect(stdout).not.toContain("a tenant's words");
  });

  const selections: readonly (readonly [string, readonly ("proven" | "presumed")[]])[] = [
    ["--basis proof", ["proven"]],
    ["--basis presumption", ["presumed"]],
    ["--outcome completed", ["proven"]],
    ["--outcome failed", ["presumed"]],
    ["--overturned", ["presumed"]],
    ["--overturned --outcome completed", []],
    ["--since 30m", ["presumed"]],
    ["--since 2h", ["presumed", "proven"]],
  ];
  it("shows the verdicts that are asked for", async () => {
    await using world = await createWorld();
    const ids = await endTwo(world);
    await overturn(world, ids.presumed);
    await world.database.sql`
      UPDATE watchdog.verdicts SET decided_at = now() - interval '1 hour'
      WHERE run_id = ${ids.proven}`;
    for (const [args, expected] of selections) {
      expect(await listed(world, args.split(" ")), args).toEqual(expected.map((name) => ids[name]));
    }
    expect(await listed(world, ["--run", ids.proven])).toEqual([ids.proven]);
    expect(await listed(world, ["--run", randomUUID()])).toEqual([]);
  });

  it("says that there are older ones when it shows as many as it may, and not when it shows all", async () => {
    await using world = await createWorld();
    await endTwo(world);
    const one = await readerInProcess(world.env, ["history", "--limit", "1"]);
    expect(one.stdout).toMatch(/1 verdict, .*; there are older ones \(--limit\)\n$/);
    const two = await readerInProcess(world.env, ["history", "--limit", "2"]);
    expect(two.stdout).toMatch(/2 verdicts, 1 presumed, 0 overturned\n$/);
  });

  it("goes by the order in which they were written where verdicts have the same moment", async () => {
    await using world = await createWorld();
    const { proven, presumed } = await endTwo(world);
    await world.database.sql`UPDATE watchdog.verdicts SET decided_at = '2026-01-02 03:04:05Z'`;
    expect(await listed(world, [])).toEqual([presumed, proven]);
    expect(await listed(world, ["--limit", "1"])).toEqual([presumed]);
  });

  it("shows no sandbox that was taken over from the host, and says when there is nothing", async () => {
    await using world = await createWorld();
    const { proven, presumed } = await endTwo(world);
    await world.database.sql`UPDATE watchdog.verdicts SET basis = 'host' WHERE run_id = ${proven}`;
    expect(await listed(world, [])).toEqual([presumed]);
    const { exitCode, stdout } = await readerInProcess(world.env, ["history", "--run", proven]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "no verdicts found\n" });
  });

  it("believes maintenance that a verdict was overturned, and says when that was noticed", async () => {
    await using world = await createWorld();
    const { presumed } = await endTwo(world);
    await world.database.sql`
      UPDATE watchdog.verdicts SET overturned_at = '2026-01-02 03:04:05.678Z'
      WHERE run_id = ${presumed}`;
    const { stdout } = await readerInProcess(world.env, ["history", "--json", "--overturned"]);
    expect(JSON.parse(stdout).verdicts).toMatchObject([
      { runId: presumed, overturned: true, overturnedAt: "2026-01-02T03:04:05.678Z" },
    ]);
  });

  it("does not call a verdict overturned because a later attempt in the same row ended otherwise", async () => {
    await using world = await createWorld();
    const { presumed } = await endTwo(world);
    await overturn(world, presumed);
    await world.database.sql`
      UPDATE automation_runs SET started_at = now() + interval '1 second' WHERE id = ${presumed}`;
    expect(await listed(world, ["--overturned"])).toEqual([]);
  });

  it("needs no setting but the database's, and no right but SELECT", async () => {
    await using world = await createWorld();
    const { presumed } = await endTwo(world);
    await using role = await createRole(world.database, READER_GRANTS);
    const { exitCode, stdout } = await readerInProcess({ DATABASE_URL: role.url }, [
      ...["history", "--json", "--basis", "presumption"],
    ]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).verdicts).toMatchObject([{ runId: presumed }]);
  });

  it("names the command that prints what its user lacks", async () => {
    await using world = await createWorld();
    await using role = await createRole(world.database, []);
    await expect(readerInProcess({ DATABASE_URL: role.url }, ["history"])).rejects.toThrow(
      /SQLSTATE 42501\): grant it to the worker's database user, as `run-watchdog migrate --print-grants` does$/,
    );
  });

  it("asks for the schema where it is missing, and for Postgres where it is away", async () => {
    await using world = await createWorld({ migrate: false });
    const asking = readerInProcess(world.env, ["history"]);
    await expect(asking).rejects.toThrow(StoreSchemaError);
    await expect(asking).rejects.toThrow("run-watchdog migrate");
    const away = new URL(world.database.url);
    away.port = String(await freePort("127.0.0.1"));
    away.hostname = "127.0.0.1";
    await expect(readerInProcess({ DATABASE_URL: away.href }, ["history"])).rejects.toThrow(
      StoreUnavailableError,
    );
  });

  it("finds the newest verdicts by an index", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    await sql`
      INSERT INTO watchdog.verdicts (run_id, epoch, holder, trigger, decided_at, outcome, basis,
        reason, evidence, cleanup_state, first_run_state)
      SELECT gen_random_uuid(), 1, 'test', 'cron', now() - n * interval '1 minute', 'FAILED',
        'proof', 'exit_code=1', '{}', 'none', 'none'
      FROM generate_series(1, 20000) AS n`;
    await sql`ANALYZE watchdog.verdicts`;
    await sql`SELECT pg_stat_reset()`;
    await readerInProcess(world.env, ["history", "--limit", "5"]);
    await expect
      .poll(
        async () => {
          const [used] = await sql`
            SELECT idx_scan::int AS scans FROM pg_stat_user_indexes
            WHERE indexrelname = 'verdicts_decided_at'`;
          return used?.["scans"];
        },
        // Sessions tell the statistics when they end.
        { timeout: 20_000 },
      )
      .toBe(1);
  });

  it("ends as a process with 0, with 2 for what it does not know, and with 69 without Postgres", async () => {
    await using world = await createWorld();
    const { presumed } = await endTwo(world);
    const listing = await runOnce(world.env, ["history"]);
    expect(listing.code, listing.stderr).toBe(0);
    expect(listing.stdout).toContain(presumed);
    expect(listing.stderr).toBe("");
    const unknown = await runOnce(world.env, ["history", "--basis", "host"]);
    expect(unknown.code).toBe(2);
    const url = new URL(world.database.url);
    url.hostname = "127.0.0.1";
    url.port = String(await freePort("127.0.0.1"));
    const away = await runOnce({ ...world.env, DATABASE_URL: url.href }, ["history"]);
    expect(away.code).toBe(69);
    expect(away.stderr).toContain("ECONNREFUSED");
  });
});

/** One run that proof has ended, and after it one that was presumed dead. */
async function endTwo(world: World) {
  const bashCommandId = randomCommandId();
  const output = { ...exitedWith(0, { bashCommandId }), stdout: "a tenant's words" };
  const proven = await world.seed({ bashCommandId }, { outputs: [output] });
  await world.sweep();
  const presumed = await world.seed({}, { status: "MISSING" });
  await world.sweep(OVERRIDE);
  return { proven: proven.id, presumed: presumed.id };
}

async function overturn(world: World, runId: string): Promise<void> {
  await world.database.sql`
    UPDATE automation_runs SET status = 'COMPLETED', error_detail = NULL WHERE id = ${runId}`;
}

async function listed(world: World, args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await readerInProcess(world.env, ["history", "--json", ...args]);
  const { verdicts } = JSON.parse(stdout) as { verdicts: readonly { runId: string }[] };
  return verdicts.map(({ runId }) => runId);
}
