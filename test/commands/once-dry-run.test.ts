import { describe, expect, it } from "vitest";
import { freePort } from "../services/free-port.ts";
import { holdPostgresLease } from "../support/process/held-lease.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";

const ARGS = ["--dry-run", "--output", "json"];

describe("once --dry-run", () => {
  it("judges as the sweep after it does", async () => {
    await using world = await createWorld();
    await seedMixed(world);
    const dry = parseDocument((await onceInProcess(world.env, ARGS)).stdout);
    const real = parseDocument((await onceInProcess(world.env, ["--output", "json"])).stdout);
    expect(dry).toMatchObject({ dryRun: true, epoch: null, status: "ok", exitCode: 0 });
    expect(dry.counts).toEqual(real.counts);
    expect(judgements(dry.runs)).toEqual(judgements(real.runs));
  });

  it("writes nothing to any table and deletes nothing", async () => {
    await using world = await createWorld();
    await seedMixed(world);
    const before = await everything(world);
    await onceInProcess(world.env, ARGS);
    expect(await everything(world)).toEqual(before);
    expect(world.host.traffic.of("delete").seen).toBe(0);
    expect(world.host.traffic.of("lookup").seen).toBeGreaterThan(0);
  });

  it("needs no lease: it works while another worker holds it, and leaves it alone", async () => {
    await using world = await createWorld();
    await seedMixed(world);
    await holdPostgresLease(world.database.sql);
    const before = await everything(world);
    const { exitCode, stdout } = await onceInProcess(world.env, ARGS);
    expect(exitCode).toBe(0);
    expect(parseDocument(stdout).counts.stale).toBe(4);
    expect(await everything(world)).toEqual(before);
  });

  it("works while the lease store is away", async () => {
    await using world = await createWorld();
    await seedMixed(world);
    const env = { ...world.env, REDIS_URL: `redis://127.0.0.1:${await freePort("127.0.0.1")}` };
    const { exitCode, stdout } = await onceInProcess(env, ARGS);
    expect(exitCode).toBe(0);
    expect(parseDocument(stdout).counts.stale).toBe(4);
  });

  it("obeys --run and --limit", async () => {
    await using world = await createWorld();
    const [first = ""] = await seedMixed(world);
    const named = await onceInProcess(world.env, [...ARGS, "--run", first]);
    expect(parseDocument(named.stdout).runs.map(({ runId }) => runId)).toEqual([first]);
    const limited = await onceInProcess(world.env, [...ARGS, "--limit", "3"]);
    expect(parseDocument(limited.stdout).counts.stale).toBe(3);
  });

  it("tells with its exit code what a sweep would have told", async () => {
    await using world = await createWorld();
    const { sandboxId } = await world.seed();
    world.host.intercept(() => ({ status: 503 }));
    const { exitCode, stdout } = await onceInProcess(world.env, ARGS);
    expect(sandboxId).not.toBeNull();
    expect(exitCode).toBe(3);
    expect(parseDocument(stdout)).toMatchObject({ status: "partial", counts: { undetermined: 1 } });
  });

  it("says in words that nothing was written, and what would be", async () => {
    await using world = await createWorld();
    await seedMixed(world);
    const { stdout } = await onceInProcess(world.env, ["--dry-run"]);
    expect(stdout).toMatch(/^dry run, nothing was written: judged 4 stale runs in /);
    expect(stdout).toMatch(/^ {2}1 would be set to COMPLETED: exit_code=0$/m);
    expect(stdout).not.toMatch(/[^e] set to (COMPLETED|FAILED)/);
  });
});

/** Runs that end by proof, end by presumption, are deferred, and have nobody to ask. */
async function seedMixed(world: World): Promise<readonly string[]> {
  const bashCommandId = randomCommandId();
  const exited = { outputs: [exitedWith(0, { bashCommandId })] };
  const runs = [
    await world.seed({ bashCommandId }, exited),
    await world.seed({}, { status: "MISSING" }),
    await world.seed(),
    await world.seed({ sandboxId: null }),
  ];
  return runs.map(({ id }) => id);
}

function judgements(runs: ReturnType<typeof parseDocument>["runs"]) {
  return runs
    .map(({ runId, action, basis, reason }) => ({ runId, action, basis, reason }))
    .toSorted((a, b) => a.runId.localeCompare(b.runId));
}

/** Every row of every table of the host and of the worker. */
async function everything(world: World): Promise<unknown> {
  const { sql } = world.database;
  const tables = await sql<{ readonly name: string }[]>`
    SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname IN ('public', 'watchdog') ORDER BY 1`;
  const contents = new Map<string, unknown>();
  for (const { name } of tables) {
    const rows = await sql.unsafe(`SELECT t::text AS row, t.xmin::text FROM ${name} t ORDER BY 1`);
    contents.set(name, [...rows]);
  }
  expect([...contents.keys()]).toEqual(
    expect.arrayContaining(["public.automation_runs", "watchdog.leadership", "watchdog.verdicts"]),
  );
  return Object.fromEntries(contents);
}
