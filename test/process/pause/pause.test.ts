/** The commands pause, resume and status, and a worker beside them: the program as a child process. */
import { describe, expect, it, vi } from "vitest";
import { freePort } from "../../services/free-port.ts";
import { createRole, MEMORY_GRANTS, READER_GRANTS } from "../../services/postgres/database-role.ts";
import { askHealth } from "../../support/process/ask-health.ts";
import { askMetrics, seriesValue } from "../../support/process/ask-metrics.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };
const WITHIN = { timeout: 90_000, interval: 100 };
const PAUSE = ["pause", "--for", "2h", "--reason", "moving the API", "--by", "ann"];

describe("run-watchdog pause", () => {
  it("stops a worker, is shown by it and by status, and resume lets it go on", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await worker.waitForLog((line) => line.msg === "run-watchdog is up");
    const paused = await run(world, PAUSE);
    expect(paused.code, paused.stderr).toBe(0);
    expect(paused.stdout).toMatch(/^paused until \S+Z by ann: moving the API\n/);
    await worker.waitForLog("paused, nothing is swept");
    const reason = `${paused.stdout.split("\n")[0]} (run-watchdog resume ends it)`;
    await vi.waitFor(async () => {
      expect((await askHealth(worker, "/health")).body).toMatchObject({
        status: "degraded",
        reasons: [reason],
        paused: { by: "ann", reason: "moving the API" },
      });
    }, WITHIN);
    const { text } = await askMetrics(worker);
    expect(seriesValue(text, "watchdog_paused")).toBe(1);
    const until = Date.parse(/^paused until (\S+)/.exec(reason)?.[1] ?? "");
    expect(seriesValue(text, "watchdog_pause_until_timestamp_seconds")).toBe(until / 1000);
    expect(seriesValue(text, "watchdog_nobody_sweeps")).toBe(0);
    const status = await run(world, ["status", "--json"], EVERY_SECOND);
    expect(status.code, status.stderr).toBe(3);
    expect(JSON.parse(status.stdout)).toMatchObject({
      status: "degraded",
      exitCode: 3,
      reasons: [reason],
      paused: { by: "ann", reason: "moving the API" },
      workers: [{ current: true, fingerprint: expect.stringMatching(/^[0-9a-f]{12}$/) }],
    });
    const { id } = await world.seed({}, { status: "MISSING" });
    const resumed = await run(world, ["resume"]);
    expect(resumed.stdout).toMatch(/^the pause is over, the next tick sweeps; it was paused until/);
    await worker.waitForLog("the pause is over");
    expect(seriesValue((await askMetrics(worker)).text, "watchdog_paused")).toBe(0);
    await vi.waitFor(async () => expect((await world.row(id)).status).toBe("FAILED"), WITHIN);
    expect((await run(world, ["resume"])).stdout).toBe("it was not paused\n");
  });

  it("lets once exit with 75, which names until when, who and why, and touches nothing", async () => {
    await using world = await createWorld();
    await run(world, PAUSE);
    const { id } = await world.seed({}, { status: "MISSING" });
    for (let times = 0; times < 2; times += 1) {
      const { code, stdout, stderr } = await run(world, ["once"]);
      expect(code, stderr).toBe(75);
      expect(stdout).toMatch(
        /^nothing was swept: paused until \S+Z by ann: moving the API\s+\(run-watchdog\s+resume ends it\)\n/,
      );
      expect(stderr).toMatch(/"by":"ann"/);
      expect(stderr).toMatch(/"reason":"moving the API"/);
    }
    expect((await world.row(id)).status).toBe("RUNNING");
    const dry = await run(world, ["once", "--dry-run"]);
    expect(dry.code, dry.stderr).toBe(0);
  });

  it("is refused with what is lacking: a right, the schema, the database", async () => {
    await using world = await createWorld();
    await using role = await createRole(world.database, [...READER_GRANTS, ...MEMORY_GRANTS]);
    const denied = await run(world, PAUSE, { DATABASE_URL: role.url });
    expect(denied.code).toBe(2);
    expect(denied.stderr).toMatch(/pausing: permission denied .*grant it/);
    await world.database.sql`DROP SCHEMA watchdog CASCADE`;
    const missing = await run(world, PAUSE);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain("run `run-watchdog migrate`");
    const away = await run(world, PAUSE, { DATABASE_URL: await closedPort(world) });
    expect(away.code).toBe(69);
  });
});

describe("run-watchdog status", () => {
  it("needs SELECT only, creates nothing, and exits with 4 for what is held", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    const { id } = await world.seed({ overdueMs: 60_000 });
    await sql`
      INSERT INTO watchdog.suspicions (run_id, sandbox_id, bash_command_id, began_at,
        first_deadline_at, noted_at, presumed_times, presumed_reason, held_since)
      SELECT id, sandbox_id, bash_command_id, coalesce(started_at, created_at), timeout_at, now(),
        2, 'sandbox missing', now() - interval '3 hours'
      FROM automation_runs WHERE id = ${id}`;
    await using role = await createRole(world.database, [...READER_GRANTS, ...MEMORY_GRANTS]);
    const before = await sql`SELECT l::text FROM watchdog.leadership l`;
    const { code, stdout, stderr } = await runOnce({ DATABASE_URL: role.url }, ["status"]);
    expect(code, stderr).toBe(4);
    expect(stderr).toBe("");
    expect(stdout).toContain("1 held back by the guard");
    expect(stdout).toContain(`${id} held for 3 h: sandbox missing`);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    expect(await sql`SELECT l::text FROM watchdog.leadership l`).toEqual(before);
    expect(await sql`SELECT FROM watchdog.workers`).toHaveLength(0);
  });

  it("exits with 3 for runs without an answer, with the cause and the remedy", async () => {
    await using world = await createWorld();
    await world.seed();
    world.host.intercept(({ kind }) => (kind === "mint" ? { status: 401 } : undefined));
    await run(world, ["once"]);
    const { code, stdout } = await run(world, ["status", "--json"]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      waiting: {
        unanswered: 1,
        causes: [
          {
            cause: "service_api mint_api_key: HTTP 401",
            count: 1,
            remedy: "check AUTOMATION_SERVICE_KEY",
          },
        ],
      },
    });
  });

  it("exits with 0 after a sweep without a remainder, and with 3 when nobody ever swept", async () => {
    await using world = await createWorld();
    expect((await run(world, ["status"])).code).toBe(3);
    await run(world, ["once"]);
    const { code, stdout } = await run(world, ["status"]);
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^run-watchdog: ok\n/);
  });

  it("exits with 2 without the schema, and with 69 without the database", async () => {
    await using world = await createWorld();
    const away = await run(world, ["status"], { DATABASE_URL: await closedPort(world) });
    expect(away.code).toBe(69);
    await world.database.sql`DROP SCHEMA watchdog CASCADE`;
    const { code, stderr } = await run(world, ["status"]);
    expect(code).toBe(2);
    expect(stderr).toContain("tables are missing or cannot be read: run `run-watchdog migrate`");
  });
});

function run(world: World, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return runOnce({ ...world.env, ...env }, args);
}

async function closedPort(world: World): Promise<string> {
  const port = await freePort("127.0.0.1");
  return Object.assign(new URL(world.database.url), { hostname: "127.0.0.1", port: String(port) })
    .href;
}
