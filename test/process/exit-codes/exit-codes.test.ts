/** Exit codes 0 and 3, and what the reader of stdout gets: the program as a child process. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, inject, it, vi } from "vitest";
import { seedRuns } from "../../fake-host/seed.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce } from "../../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

/** Takes one byte of what the program says, and the rest when it is told to. */
const SLOW_READER = `exec 3<&0
"$@" </dev/null | { dd bs=1 count=1 2>/dev/null; read -r _ <&3; cat; }`;
const PIPE_BYTES = 65_536;
const JSON_ARGS = ["once", "--output", "json"];

describe("once exits with 0", () => {
  it("when nothing is stale", async () => {
    await using world = await createWorld();
    const report = await expectExit(world, 0);
    expect(report).toMatchObject({ status: "ok", epoch: 1, counts: { stale: 0 } });
  });

  it("when runs were ended", async () => {
    await using world = await createWorld();
    const { id } = await seedExited(world);
    const report = await expectExit(world, 0);
    expect(report).toMatchObject({ status: "ok", counts: { stale: 1, failed: 1 } });
    expect((await world.row(id)).status).toBe("FAILED");
  });

  it("when runs are alive and were only deferred", async () => {
    await using world = await createWorld();
    await world.seed();
    const report = await expectExit(world, 0);
    expect(report).toMatchObject({ status: "ok", counts: { stale: 1, deferred: 1 } });
  });
});

describe("once exits with 3", () => {
  it("when one run got an answer and another did not", async () => {
    await using world = await createWorld();
    const { sandboxId } = await seedExited(world);
    await world.seed();
    world.host.intercept((request) =>
      request.kind === "mint" || request.sandboxId === sandboxId ? undefined : { status: 503 },
    );
    const report = await expectExit(world, 3);
    expect(report).toMatchObject({ status: "partial", counts: { failed: 1, undetermined: 1 } });
  });

  it("when no run got an answer from the backend", async () => {
    await using world = await createWorld();
    const { id } = await world.seed();
    world.host.intercept(() => ({ status: 503 }));
    const report = await expectExit(world, 3);
    expect(report).toMatchObject({ status: "partial", counts: { stale: 1, undetermined: 1 } });
    expect((await world.row(id)).status).toBe("RUNNING");
  });

  it("when Postgres refuses one of many runs", async () => {
    await using world = await createWorld();
    const refused = await seedExited(world);
    const ended = await seedExited(world);
    await world.database.sql.unsafe(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'tenant text'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON automation_runs FOR EACH ROW
        WHEN (OLD.id = '${refused.id}') EXECUTE FUNCTION refuse()`);
    const report = await expectExit(world, 3);
    expect(report).toMatchObject({ status: "partial", counts: { stale: 2, failed: 1, errors: 1 } });
    const outcome = report.runs.find(({ runId }) => runId === refused.id);
    expect(outcome).toMatchObject({
      action: "error",
      reason: "ending a run: SQLSTATE P0001, raised by a trigger or function",
    });
    expect((await world.row(ended.id)).status).toBe("FAILED");
  });
});

describe("the document of once", () => {
  it("is alone on stdout at LOG_LEVEL=debug: logs go to stderr", async () => {
    await using world = await createWorld();
    await seedExited(world);
    const env = { ...world.env, LOG_LEVEL: "debug", WATCHDOG_NOBODY_KNOWS_THIS: "1" };
    const { code, stdout, stderr } = await runOnce(env, JSON_ARGS);
    expect(code).toBe(0);
    parseDocument(stdout);
    expect(stderr).toContain("WATCHDOG_NOBODY_KNOWS_THIS");
    for (const line of stderr.trim().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
  });

  it("arrives whole through a pipe although it is larger than the pipe and its reader is slow", async () => {
    await using world = await createWorld();
    await seedRuns(
      world.database.sql,
      Array.from({ length: 1000 }, () => ({ sandboxId: null })),
    );
    const program = [process.execPath, inject("program"), ...JSON_ARGS];
    const shell = spawn("sh", ["-c", SLOW_READER, "sh", ...program], {
      env: { ...world.env, LOG_LEVEL: "warn" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const stdout = text(shell.stdout);
    await once(shell.stdout, "readable");
    // All that is left to do for the program is to leave.
    await vi.waitFor(async () => {
      const connections = await world.database.sql`
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'run-watchdog'`;
      expect(connections).toHaveLength(0);
    }, 90_000);
    shell.stdin.end("\n");
    expect((await stdout).length).toBeGreaterThan(PIPE_BYTES);
    expect(parseDocument(await stdout).runs).toHaveLength(1000);
  });
});

/** Runs `once` as a child process and returns its document. */
async function expectExit(world: World, exitCode: number) {
  const { code, signal, stdout, stderr } = await runOnce(world.env, JSON_ARGS);
  expect({ code, signal }, stderr).toEqual({ code: exitCode, signal: null });
  const report = parseDocument(stdout);
  expect(report.exitCode).toBe(exitCode);
  return report;
}

function seedExited(world: World) {
  const bashCommandId = randomCommandId();
  return world.seed({ bashCommandId }, { outputs: [exitedWith(9, { bashCommandId })] });
}
