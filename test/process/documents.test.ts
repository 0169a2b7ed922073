/** What the program prints as JSON, in every state that there is a command for: one document, of its schema. */
import { randomUUID } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { freePort } from "../services/free-port.ts";
import { askHealth, untilReady } from "../support/process/ask-health.ts";
import {
  parseDocument,
  parseDocumentOf,
  parseProblems,
} from "../support/process/report-document.ts";
import { runOnce, startWorker } from "../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";

const PAUSE = ["pause", "--for", "2h", "--reason", "moving the API"];
const ONCE = ["once", "--output", "json"];
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };
const WITHIN = { timeout: 90_000, interval: 100 };
const HOLDING = { WATCHDOG_GUARD_MIN: "0", WATCHDOG_GUARD_RATIO: "0" };

describe("status --json", () => {
  it("prints its document when nobody has swept, after a sweep, while paused, and after that", async () => {
    await using world = await createWorld();
    expect(await status(world)).toMatchObject({ exitCode: 3, lastSweep: { status: null } });
    await world.seed({}, { status: "STARTING" });
    await runOnce(world.env, ONCE);
    expect(await status(world)).toMatchObject({ exitCode: 0, waiting: { alive: 1 } });
    await runOnce(world.env, PAUSE);
    expect(await status(world)).toMatchObject({
      exitCode: 3,
      paused: { reason: "moving the API" },
    });
    await runOnce(world.env, ["resume"]);
    expect(await status(world)).toMatchObject({ exitCode: 0, paused: null });
  });

  it("prints its document while runs are held, failing and without an answer, beside workers", async () => {
    await using world = await createWorld();
    const { held } = await seedTrouble(world);
    const report = parseDocument((await runOnce({ ...world.env, ...HOLDING }, ONCE)).stdout);
    expect(report).toMatchObject({ waiting: { held: 1, unanswered: 1, failing: 1 } });
    await using worker = await startWorker({ ...world.env, ...HOLDING, ...EVERY_SECOND });
    await untilReady(worker);
    await vi.waitFor(async () => {
      expect(await status(world)).toMatchObject({
        exitCode: 4,
        waiting: { held: 1, unanswered: 1, failing: 1, causes: [{}], failures: [{}] },
        held: [{ runId: held.id }],
        workers: [{ current: true }],
      });
    }, WITHIN);
    expect((await askHealth(worker, "/health")).body["waiting"]).toMatchObject({ held: 1 });
    for (const path of ["/livez", "/readyz", "/nothing"]) await askHealth(worker, path);
  });
});

describe("explain --json", () => {
  it("prints its document for runs that wait, that have ended, and that the host has removed", async () => {
    await using world = await createWorld();
    const { held, unanswered, failing } = await seedTrouble(world);
    const bashCommandId = randomCommandId();
    const done = await world.seed(
      { bashCommandId },
      { outputs: [exitedWith(9, { bashCommandId })] },
    );
    const { sql } = world.database;
    const odd = await world.seed();
    await sql`UPDATE automation_runs SET timeout_at = '-infinity' WHERE id = ${odd.id}`;
    for (const { id } of [done, odd]) {
      expect(await explain(world, id)).toMatchObject({ run: { status: "RUNNING" }, verdicts: [] });
    }
    await runOnce({ ...world.env, ...HOLDING }, ONCE);
    for (const [{ id }, action] of [
      [held, "held"],
      [unanswered, "undetermined"],
      [failing, "failed"],
    ] as const) {
      const { now } = await explain(world, id, HOLDING);
      expect(now.outcome.action).toBe(action);
    }
    expect(await explain(world, done.id)).toMatchObject({ now: null, verdicts: [{}] });
    await sql`DELETE FROM automation_runs WHERE id = ${done.id}`;
    expect(await explain(world, done.id)).toMatchObject({ run: null, verdicts: [{}] });
  });

  it("prints the problem and exits with 3 for a run that nobody knows", async () => {
    await using world = await createWorld();
    const { code, stdout } = await runOnce(world.env, ["explain", randomUUID(), "--json"]);
    expect(code).toBe(3);
    expect(parseProblems(stdout)).toMatchObject({ status: "unknown-run", exitCode: 3 });
  });
});

describe("history --json", () => {
  it("prints its document without verdicts, with all kinds of them, and with one that is overturned", async () => {
    await using world = await createWorld();
    const history = async () => documentOf(world, "history");
    expect(await history()).toEqual({ version: 1, verdicts: [], more: false });
    const bashCommandId = randomCommandId();
    await world.seed({ bashCommandId }, { outputs: [exitedWith(0, { bashCommandId })] });
    const gone = await world.seed({}, { status: "MISSING" });
    await runOnce(world.env, ONCE);
    await world.database.sql`
      UPDATE automation_runs SET status = 'COMPLETED', error_detail = NULL WHERE id = ${gone.id}`;
    const { verdicts } = await history();
    expect(verdicts.map(({ basis }: { readonly basis: string }) => basis).toSorted()).toEqual([
      ...["presumption", "proof"],
    ]);
    expect(verdicts).toContainEqual(expect.objectContaining({ overturned: true }));
  });
});

describe("doctor --json and config --json", () => {
  it("print their documents for what is sound, what is broken, and settings that cannot be used", async () => {
    await using world = await createWorld();
    const states = [
      { env: {}, doctor: 0, config: 0 },
      { env: { AUTOMATION_SERVICE_KEY: "wrong", WATCHDOG_OTHER: "x" }, doctor: 1, config: 0 },
      { env: { WATCHDOG_DEFER: "soon", REDIS_URL: "http://x" }, doctor: 2, config: 2 },
    ];
    await world.seed();
    for (const { env, ...codes } of states) {
      for (const name of ["doctor", "config"] as const) {
        expect((await documentOf(world, name, [], env)).exitCode).toBe(codes[name]);
      }
    }
  });
});

describe("once --output json", () => {
  it("prints its document while all workers are paused", async () => {
    await using world = await createWorld();
    await runOnce(world.env, PAUSE);
    const { code, stdout } = await runOnce(world.env, ONCE);
    expect(code).toBe(75);
    expect(parseDocument(stdout)).toMatchObject({ status: "paused", epoch: null });
  });
});

describe("a command that is refused", () => {
  const COMMANDS = [
    ONCE,
    ["status", "--json"],
    ["history", "--json"],
    ["explain", randomUUID(), "--json"],
  ];
  it("prints its problems as a document for 69", async () => {
    await using world = await createWorld();
    const url = new URL(world.database.url);
    url.port = String(await freePort("127.0.0.1"));
    for (const args of COMMANDS) {
      const { code, stdout } = await runOnce({ ...world.env, DATABASE_URL: url.href }, args);
      expect(code, stdout).toBe(69);
      const once = { status: "unavailable", waiting: null };
      if (args === ONCE) expect(parseDocument(stdout)).toMatchObject(once);
      else expect(parseProblems(stdout)).toMatchObject({ status: "unavailable", exitCode: 69 });
    }
  });

  for (const args of [
    ...COMMANDS,
    ["pause", "--json"],
    ["migrate", "--json"],
    ["onse", "--json"],
  ]) {
    it(`prints its problems as a document for 2: ${args[0]}`, async () => {
      const { code, stdout } = await runOnce({}, args);
      expect(code, stdout).toBe(2);
      expect(parseProblems(stdout)).toMatchObject({ status: "unusable", exitCode: 2 });
    });
  }
});

/** A run that the guard is to hold, one without an answer, and one whose row cannot be written. */
async function seedTrouble(world: World) {
  const held = await world.seed({}, { status: "MISSING" });
  const unanswered = await world.seed();
  world.host.intercept(({ kind, sandboxId }) =>
    kind === "lookup" && sandboxId === unanswered.sandboxId ? { status: 500 } : undefined,
  );
  const bashCommandId = randomCommandId();
  const outputs = [exitedWith(9, { bashCommandId })];
  const failing = await world.seed({ bashCommandId }, { outputs });
  await world.database.sql.unsafe(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
    CREATE TRIGGER refuse BEFORE UPDATE ON automation_runs FOR EACH ROW
      WHEN (NEW.id = '${failing.id}' AND NEW.status = 'FAILED') EXECUTE FUNCTION refuse()`);
  return { held, unanswered, failing };
}

function status(world: World) {
  return documentOf(world, "status");
}

function explain(world: World, runId: string, env: Readonly<Record<string, string>> = {}) {
  return documentOf(world, "explain", [runId], env);
}

/** What the command prints; fails unless it is one document of its schema. */
async function documentOf(
  world: World,
  name: "status" | "explain" | "history" | "doctor" | "config",
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  const { stdout, stderr } = await runOnce({ ...world.env, ...env }, [name, ...args, "--json"]);
  expect(stdout, stderr).not.toBe("");
  // Of any shape that its schema allows; what is asked of it is asked with matchers.
  return JSON.parse(JSON.stringify(parseDocumentOf(`${name}.json`, stdout)));
}
