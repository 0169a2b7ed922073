import { describe, expect, it } from "vitest";
import { seedRuns } from "../fake-host/seed.ts";
import { parseDocument } from "../support/process/report-document.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../support/world/world.ts";
import { onceInProcess } from "./once-in-process.ts";

describe("once --output json", () => {
  it("counts every kind of outcome and lists the runs with what became of them", async () => {
    await using world = await createWorld();
    const completed = await seedExited(world, 0);
    const failed = await seedExited(world, 7);
    const presumed = await world.seed({}, { status: "MISSING" });
    const running = await world.seed();
    const { exitCode, stdout } = await onceInProcess(world.env, ["--output", "json"]);
    expect(exitCode).toBe(0);
    const report = parseDocument(stdout);
    expect(report).toMatchObject({
      version: 1,
      status: "ok",
      exitCode: 0,
      dryRun: false,
      trigger: "once",
      holder: expect.stringMatching(/^test\/\d+\/[0-9a-f]{4}$/),
      epoch: 1,
      counts: { stale: 4, completed: 1, failed: 2, deferred: 1 },
      cleanups: { done: 2, pending: 1, abandoned: 0 },
      runsOmitted: 0,
    });
    const outcomes = new Map(report.runs.map(({ runId, ...outcome }) => [runId, outcome]));
    const verifyMs = expect.any(Number);
    expect(Object.fromEntries(outcomes)).toEqual({
      [completed]: { action: "completed", basis: "proof", reason: "exit_code=0", verifyMs },
      [failed]: { action: "failed", basis: "proof", reason: "exit_code=7", verifyMs },
      [presumed.id]: {
        action: "failed",
        basis: "presumption",
        reason: "sandbox missing",
        verifyMs,
      },
      [running.id]: { action: "deferred", basis: null, reason: "running", verifyMs },
    });
  });

  it("tells start, end and duration in UTC, in agreement with each other", async () => {
    await using world = await createWorld();
    const { stdout } = await onceInProcess(world.env, ["--output", "json"]);
    const { startedAt, finishedAt, durationMs } = parseDocument(stdout);
    expect(new Date(startedAt).toISOString()).toBe(startedAt);
    expect(Date.parse(finishedAt) - Date.parse(startedAt)).toBe(durationMs);
  });

  for (const { count, omitted } of [
    { count: 1000, omitted: 0 },
    { count: 1001, omitted: 1 },
  ]) {
    it(`lists at most 1,000 of ${count} runs and counts the rest`, async () => {
      await using world = await createWorld();
      // Without a sandbox nobody has to be asked.
      await seedRuns(
        world.database.sql,
        Array.from({ length: count }, () => ({ sandboxId: null })),
      );
      const { stdout } = await onceInProcess(world.env, ["--output", "json"]);
      const report = parseDocument(stdout);
      expect(report.counts.stale).toBe(count);
      expect(report.runs).toHaveLength(1000);
      expect(report.runsOmitted).toBe(omitted);
    });
  }
});

describe("once --output human", () => {
  it("is the default and says what happened", async () => {
    await using world = await createWorld();
    const runId = await seedExited(world, 7);
    const { stdout, stderr } = await onceInProcess(world.env, []);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^swept 1 stale run in \d.* (s|min)$/);
    expect(lines.slice(-2)).toEqual(["  1 set to FAILED: exit_code=7", `    ${runId}`]);
    expect(stderr).toBe("");
  });
});

describe("once --output github", () => {
  it("annotates, and appends tables to the job's summary and figures to its outputs", async () => {
    await using world = await createWorld();
    const runId = await seedExited(world, 7);
    const { exitCode, stdout, files } = await onceInProcess(
      { ...world.env, GITHUB_STEP_SUMMARY: "/summary.md", GITHUB_OUTPUT: "/outputs" },
      ["--output", "github"],
    );
    expect(exitCode).toBe(0);
    const [annotation, group] = stdout.split("\n");
    expect(annotation).toMatch(/^::notice title=run-watchdog::swept 1 stale run in/);
    expect(group).toBe(`::notice title=run-watchdog::1 run set to FAILED: exit_code=7%0A${runId}`);
    const summary = files.get("/summary.md");
    expect(summary).toMatch(/^### run-watchdog: swept 1 stale run in \d.* (s|min)\n/);
    expect(summary).toContain(`| set to FAILED | 1 | \`exit_code=7\` |  | \`${runId}\` |\n`);
    expect(files.get("/outputs")).toMatch(/^status=ok\nexit-code=0\nmessage=\nstale=1\n/);
  });

  it("appends nothing without a summary to append to", async () => {
    await using world = await createWorld();
    const { files } = await onceInProcess(world.env, ["--output", "github"]);
    expect([...files]).toEqual([]);
  });

  for (const name of ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"]) {
    it(`says so and exits with 1 when ${name} cannot be written`, async () => {
      await using world = await createWorld();
      const env = { ...world.env, [name]: "/refused" };
      const { exitCode, stdout, stderr } = await onceInProcess(env, ["--output", "github"], {
        appendFile: () => {
          throw new Error("EACCES: permission denied");
        },
      });
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(/^::notice/);
      expect(stderr).toContain(`${name}: EACCES: permission denied (the command itself ended`);
    });
  }

  it("writes neither summary nor outputs in another format", async () => {
    await using world = await createWorld();
    const env = { ...world.env, GITHUB_STEP_SUMMARY: "/summary.md", GITHUB_OUTPUT: "/outputs" };
    const { files } = await onceInProcess(env, ["--output", "json"]);
    expect([...files]).toEqual([]);
  });
});

async function seedExited(world: World, exitCode: number): Promise<string> {
  const bashCommandId = randomCommandId();
  const run = await world.seed(
    { bashCommandId },
    { outputs: [exitedWith(exitCode, { bashCommandId })] },
  );
  return run.id;
}
