/** WATCHDOG_MODE=observe, and dry runs, with nothing but SELECT: the program as a child process. */
import { describe, expect, it, vi } from "vitest";
import {
  createRole,
  MEMORY_GRANTS,
  READER_GRANTS,
  type TestRole,
} from "../../services/postgres/database-role.ts";
import { askHealth } from "../../support/process/ask-health.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { everything } from "../../support/stands/stores.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const OBSERVE = { WATCHDOG_MODE: "observe" };
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };

describe("with SELECT on the platform's tables and without a schema of its own", () => {
  for (const [name, args, mode] of [
    ["once --dry-run", ["--dry-run"], {}],
    ["once in the mode observe", [], OBSERVE],
  ] as const) {
    it(`${name} says what would happen, and changes no row`, async () => {
      await using world = await createWorld();
      await seedBoth(world);
      await using role = await bareRole(world);
      const before = await hostRows(world);
      const { code, stdout, stderr } = await runOnce(
        { ...world.env, ...mode, DATABASE_URL: role.url },
        ["once", "--output", "json", ...args],
      );
      expect(code, stderr).toBe(0);
      expect(parseDocument(stdout)).toMatchObject({
        dryRun: true,
        epoch: null,
        counts: { stale: 2, completed: 1, failed: 1 },
      });
      expect(stderr).toContain("everything is judged from one observation");
      expect(await hostRows(world)).toEqual(before);
      expect(world.host.traffic.of("delete").seen).toBe(0);
    });
  }

  it("a presumption stays suspected however often it is seen: nothing is remembered", async () => {
    await using world = await createWorld();
    await world.seed({}, { status: "MISSING" });
    await using role = await bareRole(world);
    const env = { ...world.env, DATABASE_URL: role.url, WATCHDOG_CONFIRMATIONS: "2" };
    for (let times = 0; times < 2; times += 1) {
      const { stdout } = await runOnce(env, ["once", "--dry-run", "--output", "json"]);
      expect(parseDocument(stdout)).toMatchObject({ counts: { suspected: 1, failed: 0 } });
    }
  });

  it("several workers observe side by side, and say in health that nothing is written", async () => {
    await using world = await createWorld();
    await seedBoth(world);
    await using role = await bareRole(world);
    const before = await hostRows(world);
    const env = { ...world.env, ...OBSERVE, ...EVERY_SECOND, DATABASE_URL: role.url };
    await using one = await startWorker(env);
    await using other = await startWorker(env);
    for (const worker of [one, other]) {
      const line = await worker.waitForLog("observed, nothing was written");
      expect(line).toMatchObject({ dryRun: true, counts: { completed: 1, failed: 1 } });
      const up = worker.logs.find(({ msg }) => msg === "run-watchdog is up");
      expect(up).toMatchObject({ mode: "observe" });
      await vi.waitFor(async () => {
        expect((await askHealth(worker, "/health")).body).toMatchObject({
          status: "degraded",
          mode: "observe",
          reasons: ["observing: nothing is written, because WATCHDOG_MODE is observe"],
        });
      });
      worker.kill("SIGTERM");
      expect(await worker.exited).toMatchObject({ code: 0 });
    }
    expect(await hostRows(world)).toEqual(before);
  });
});

describe("an observer that may read what live workers remember", () => {
  it("judges as they would, and leaves no row in any table", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    await seedBoth(world);
    await sql`UPDATE watchdog.leadership SET paused_until = now() + interval '1 hour'`;
    await using role = await createRole(world.database, [...READER_GRANTS, ...MEMORY_GRANTS]);
    const before = await everything(sql);
    const env = { ...world.env, ...OBSERVE, ...EVERY_SECOND, DATABASE_URL: role.url };
    await using worker = await startWorker(env);
    await worker.waitForLog("observed, nothing was written");
    worker.kill("SIGTERM");
    expect(await worker.exited).toMatchObject({ code: 0 });
    expect(await everything(sql)).toEqual(before);
    expect(await sql`SELECT FROM watchdog.workers`).toHaveLength(0);
    expect(worker.logs.filter(({ level }) => level === "error")).toEqual([]);
  });
});

/** A run that ends by proof, and one by presumption. */
async function seedBoth(world: World): Promise<void> {
  const bashCommandId = randomCommandId();
  await world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
  await world.seed({}, { status: "MISSING" });
}

async function bareRole(world: World): Promise<TestRole> {
  await world.database.sql`DROP SCHEMA watchdog CASCADE`;
  return await createRole(world.database, READER_GRANTS);
}

async function hostRows({ database: { sql } }: World): Promise<unknown> {
  return await sql`
    SELECT r::text AS row, r.xmin::text FROM automation_runs r
    UNION ALL SELECT a::text, a.xmin::text FROM automations a ORDER BY 1`;
}
