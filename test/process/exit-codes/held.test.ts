/** Exit codes 4 and 3 when verdicts or questions are held back, and the way out: the program as a child process. */
import { describe, expect, it } from "vitest";
import { parseDocument, parseProblems } from "../../support/process/report-document.ts";
import { runOnce } from "../../support/process/worker-process.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const JSON_ARGS = ["once", "--output", "json"];
/** The product's own limits, but for the second observation. */
const GUARDED = { WATCHDOG_GUARD_MIN: "5", WATCHDOG_GUARD_PER_HOUR: "60" };
const MASS = 6;

describe("once exits with 4", () => {
  it("when the guard holds verdicts, and tells what a person can do", async () => {
    await using world = await createWorld();
    const runs = await seedMissing(world, MASS);
    const { code, stdout, stderr } = await runOnce({ ...world.env, ...GUARDED }, ["once"]);
    expect(code, stderr).toBe(4);
    expect(stdout).toContain(`swept ${MASS} stale runs`);
    expect(stdout).toContain(`${MASS} held back by the guard`);
    expect(stdout).toContain("run-watchdog once --override-guard");
    expect(stderr).toContain("the guard holds verdicts back");
    for (const { id } of runs) expect((await world.row(id)).status).toBe("RUNNING");
  });

  it("in a dry run as well, which writes nothing", async () => {
    await using world = await createWorld();
    const [run] = await seedMissing(world, MASS);
    const before = await world.row(run?.id ?? "");
    const { code, stdout } = await runOnce({ ...world.env, ...GUARDED }, [
      ...JSON_ARGS,
      "--dry-run",
    ]);
    expect(code).toBe(4);
    expect(parseDocument(stdout)).toMatchObject({
      status: "held",
      dryRun: true,
      counts: { held: MASS },
    });
    expect(await world.row(run?.id ?? "")).toEqual(before);
    const { sql } = world.database;
    expect(await sql`SELECT FROM watchdog.suspicions`).toHaveLength(0);
  });

  it("rather than with 3 when runs could not be asked about as well", async () => {
    await using world = await createWorld();
    const missing = await seedMissing(world, MASS);
    const other = await world.seed();
    world.host.intercept((request) =>
      request.sandboxId === other.sandboxId ? { status: 503 } : undefined,
    );
    const { code, stdout } = await runOnce({ ...world.env, ...GUARDED }, JSON_ARGS);
    expect(code).toBe(4);
    expect(parseDocument(stdout)).toMatchObject({
      counts: { held: missing.length, undetermined: 1 },
    });
  });
});

describe("once --override-guard", () => {
  it("ends what was held, at once, with the reason in the journal and exit code 0", async () => {
    await using world = await createWorld();
    const runs = await seedMissing(world, MASS);
    const env = { ...world.env, ...GUARDED };
    expect((await runOnce(env, JSON_ARGS)).code).toBe(4);
    const args = [...JSON_ARGS, "--override-guard", "cluster rebuilt"];
    const { code, stdout } = await runOnce(env, args);
    expect(code).toBe(0);
    expect(parseDocument(stdout)).toMatchObject({ status: "ok", counts: { failed: MASS } });
    for (const { id } of runs) expect((await world.row(id)).status).toBe("FAILED");
    const { sql } = world.database;
    expect(await sql`SELECT DISTINCT override_reason FROM watchdog.verdicts`).toEqual([
      { override_reason: "cluster rebuilt" },
    ]);
  });

  it("is refused without a reason, before anything is read", async () => {
    const { code, stdout, stderr } = await runOnce({}, [...JSON_ARGS, "--override-guard", " "]);
    expect(code).toBe(2);
    expect(parseProblems(stdout).problems).toEqual([expect.stringContaining("must say why")]);
    expect(stderr).toContain("must say why");
  });
});

describe("once exits with 3", () => {
  it("when the breaker opened, and the rest was not asked about", async () => {
    await using world = await createWorld();
    for (let count = 0; count < 12; count += 1) await world.seed();
    world.host.intercept(({ kind }) => (kind === "lookup" ? { status: 503 } : undefined));
    const env = { ...world.env, WATCHDOG_CONCURRENCY: "1" };
    const { code, stdout } = await runOnce(env, JSON_ARGS);
    expect(code).toBe(3);
    expect(parseDocument(stdout)).toMatchObject({
      status: "partial",
      counts: { stale: 12, undetermined: 5, skipped: 7 },
    });
  });
});

async function seedMissing(world: World, count: number) {
  const runs = [];
  for (let index = 0; index < count; index += 1) {
    runs.push(await world.seed({}, { status: "MISSING" }));
  }
  return runs;
}
