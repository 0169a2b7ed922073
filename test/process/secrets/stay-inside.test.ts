/** Everything that the program tells, after runs of every kind: no secret is in it, and nothing of a tenant's. */
import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRole, WORKER_GRANTS } from "../../services/postgres/database-role.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { type ProcessEnv, runOnce, startWorker } from "../../support/process/worker-process.ts";
import { hardenTable, OUTCOMES, seedOutcomes } from "../../support/world/leak-cases.ts";
import {
  leaksIn,
  markedSecret,
  ownTables,
  tenantText,
} from "../../support/world/marked-secrets.ts";
import { createWorld, type World } from "../../support/world/world.ts";

/** Slow enough to look at what each sweep says, and every limit wide enough for one run of each kind. */
const SETTINGS = {
  LOG_LEVEL: "trace",
  WATCHDOG_CONCURRENCY: "1",
  WATCHDOG_VERIFY_TIMEOUT: "5s",
  WATCHDOG_CONFIRMATIONS: "1",
  WATCHDOG_GUARD_MIN: "100",
  WATCHDOG_CLEANUP_DELAY: "0s",
};
const ROUTES = ["/livez", "/readyz", "/health", "/metrics", "/"];
const SWEEPS = 3;

const FACES = [
  "a dry run",
  "the log of a sweep",
  "the report as JSON",
  "the readable log of a sweep",
  "the report for people",
  "the report for a CI job",
  "the summary of a CI job",
  "the log of the worker",
  "the health endpoint of the worker",
];

describe("what the program tells after runs of every kind", () => {
  const told = new Map<string, string>();
  const resources = new AsyncDisposableStack();
  let world: World;

  beforeAll(async () => {
    world = resources.use(await createWorld());
    await hardenTable(world);
    const env = await markedEnv(world, resources);
    await tellAll(world, env, told);
  }, 240_000);

  afterAll(async () => {
    await resources.disposeAsync();
  });

  for (const face of FACES) {
    it(`holds no secret and no tenant's text in ${face}`, () => {
      expect(told.get(face)).toMatch(/\S/);
      expect(leaksIn(told.get(face) ?? "")).toEqual([]);
    });
  }

  it("holds none in any of the worker's own tables", async () => {
    const tables = await ownTables(world.database);
    expect([...tables.keys()]).toEqual(
      expect.arrayContaining(["leadership", "suspicions", "verdicts"]),
    );
    for (const [name, rows] of tables) {
      // A worker that has stopped is not listed, and nobody has paused any.
      if (name !== "workers" && name !== "pauses") expect(rows, name).toMatch(/\S/);
      expect(leaksIn(rows), name).toEqual([]);
    }
  });

  it("is about runs that were really asked about, with secrets, and end with tenants' texts", async () => {
    const [row] = await world.database.sql`
      SELECT json_agg(r)::text AS runs FROM automation_runs r WHERE error_detail LIKE 'exit_code=2%'`;
    expect(row?.["runs"]).toContain(tenantText("stderr").slice(0, 20));
    const headers = JSON.stringify(world.host.requests.map((request) => request.headers));
    expect(headers).toContain(world.host.serviceKey);
    expect(headers).toContain("sk-oh-");
    expect(headers).toContain(markedSecret("session"));
    const kinds = new Set(world.host.requests.map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(
      expect.arrayContaining(["delete", "event", "events", "lookup", "mint", "server-info"]),
    );
    const { runs, counts } = JSON.parse(told.get("the report as JSON") ?? "");
    expect(runs).toHaveLength(OUTCOMES.length);
    expect(counts).toMatchObject({ skipped: 0, held: 0 });
    for (const action of ["completed", "failed", "deferred", "undetermined", "errors"]) {
      expect(counts[action], action).toBeGreaterThan(0);
    }
  });
});

describe("leaksIn", () => {
  const secret = markedSecret("name");
  const forms = [
    secret,
    secret.toUpperCase(),
    encodeURIComponent(`me:${secret}/`),
    ...["", "a", "ab"].map((user) => Buffer.from(`${user}:${secret}`).toString("base64")),
    Buffer.from(secret).toString("hex"),
    "svc-0123456789abcdef",
    "sk-oh-0123456789abcdef",
  ];
  for (const form of forms) {
    it(`finds a marker in ${form}`, () => {
      expect(leaksIn(`before ${form} after`)).not.toEqual([]);
    });
  }

  it("finds nothing where there is no marker", () => {
    expect(leaksIn("the sandbox svc-1 of zq7 was deleted")).toEqual([]);
  });
});

/** The world as a worker sees it with a marker in every password. */
async function markedEnv(world: World, resources: AsyncDisposableStack): Promise<ProcessEnv> {
  const role = resources.use(await createRole(world.database, WORKER_GRANTS));
  const databasePassword = markedSecret("database/%@");
  await world.database.sql.unsafe(`ALTER ROLE ${role.name} PASSWORD '${databasePassword}'`);
  const database = new URL(world.database.url);
  database.username = role.name;
  database.password = encodeURIComponent(databasePassword);
  const server = resources.use(await startRedis());
  const admin = new Redis(server.url);
  await admin.config("SET", "requirepass", markedSecret("redis"));
  await admin.quit();
  const redis = `redis://:${markedSecret("redis")}@${server.host}:${server.port}`;
  return { ...world.env, ...SETTINGS, DATABASE_URL: database.href, REDIS_URL: redis };
}

async function tellAll(world: World, env: ProcessEnv, told: Map<string, string>): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "run-watchdog-summary-"));
  await seedOutcomes(world);
  const dry = await runOnce(env, ["once", "--dry-run", "--output", "human"]);
  told.set("a dry run", dry.stdout + dry.stderr);

  const json = await runOnce(env, ["once", "--output", "json"]);
  told.set("the log of a sweep", json.stderr).set("the report as JSON", json.stdout);

  await seedOutcomes(world);
  const human = await runOnce({ ...env, LOG_FORMAT: "pretty" }, ["once", "--output", "human"]);
  told.set("the readable log of a sweep", human.stderr).set("the report for people", human.stdout);

  await seedOutcomes(world);
  const summary = join(folder.path, "summary.md");
  const github = await runOnce({ ...env, GITHUB_STEP_SUMMARY: summary }, [
    ...["once", "--output", "github"],
  ]);
  told.set("the report for a CI job", github.stdout);
  told.set("the summary of a CI job", await readFile(summary, "utf8"));

  await seedOutcomes(world);
  await using worker = await startWorker({
    ...env,
    WATCHDOG_SCHEDULE: "* * * * * *",
    WATCHDOG_DEFER: "1s",
  });
  const url = await worker.healthUrl();
  let answers = "";
  for (let sweep = 0, since = 0; sweep < SWEEPS; sweep += 1) {
    const line = await worker.waitForLog("sweep finished", { since });
    since = worker.logs.indexOf(line) + 1;
    for (const route of ROUTES) answers += await (await fetch(`${url}${route}`)).text();
  }
  worker.kill();
  await worker.exited;
  told.set("the log of the worker", worker.stdout() + worker.stderr());
  told.set("the health endpoint of the worker", answers);
}
