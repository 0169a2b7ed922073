/** The cases of the host's own watchdog that wait before they delete, and those with durations that nobody would expect. */
import { describe, expect, it } from "vitest";
import { observe, runCase, runCaseIn, type SweptRun } from "../../support/world/host-case.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const AN_HOUR_LATER = { AUTOMATION_SANDBOX_CLEANUP_DELAY_SECONDS: "3600" };
const OTHER_TIMES = {
  AUTOMATION_SANDBOX_READY_TIMEOUT: "0",
  AUTOMATION_RUN_TIMEOUT_HARD_GRACE: "-45",
};

async function addStamp({ database: { sql } }: World): Promise<void> {
  await sql`
    ALTER TABLE automation_runs ADD COLUMN IF NOT EXISTS sandbox_cleanup_due_at timestamptz`;
}

/** Whether the deletion is due an hour after the end of the run, within a minute. */
async function isStamped({ database: { sql } }: World, { id }: SweptRun): Promise<boolean> {
  const [row] = await sql<{ stamped: boolean }[]>`
    SELECT coalesce(abs(extract(epoch FROM sandbox_cleanup_due_at - completed_at) - 3600) < 60, false)
           AS stamped
    FROM automation_runs WHERE id = ${id}`;
  return row?.stamped === true;
}

describe("the host's watchdog with a clean-up that is deferred by an hour", () => {
  it("pauses the sandbox of a run that exited with 0, and stamps the run", async () => {
    await using world = await createWorld();
    await addStamp(world);
    const run = await runCaseIn(world, { output: { exitCode: 0 }, env: AN_HOUR_LATER });
    expect(await observe(world, run)).toMatchObject({
      status: "COMPLETED",
      errorDetail: null,
      pauses: 1,
      deletions: 0,
    });
    expect(await isStamped(world, run)).toBe(true);
  });

  it("tries to pause a PAUSED sandbox, and stamps the run", async () => {
    await using world = await createWorld();
    await addStamp(world);
    const run = await runCaseIn(world, { sandbox: { status: "PAUSED" }, env: AN_HOUR_LATER });
    expect(await observe(world, run)).toMatchObject({
      status: "FAILED",
      errorDetail: "Timed out: Sandbox not available",
      pauses: 1,
      deletions: 0,
    });
    expect(await isStamped(world, run)).toBe(true);
  });

  // The host deletes both: the worker leaves it the time to do so, and takes what is left lying.
  for (const [due, dueAgo, deletions] of [
    ["a second ago", "1 second", 0],
    ["six minutes ago", "6 minutes", 1],
  ] as const) {
    it(`${deletions === 0 ? "leaves" : "deletes"} the sandbox of a run that others stamped and that was due ${due}`, async () => {
      await using world = await createWorld();
      await addStamp(world);
      const run = await runCaseIn(world, {
        run: { status: "COMPLETED", completedAgoMs: 3_600_000, errorDetail: "as it was" },
        before: ({ id }) =>
          world.database.sql`
            UPDATE automation_runs
            SET sandbox_cleanup_due_at = now() - ${dueAgo}::text::interval WHERE id = ${id}`,
      });
      const { columns, ...seen } = await observe(world, run);
      expect(seen).toMatchObject({
        status: "COMPLETED",
        errorDetail: "as it was",
        deadline: "kept",
        deletions,
      });
      expect(columns["sandbox_cleanup_due_at"] === null).toBe(deletions === 1);
    });
  }
});

describe("the host's watchdog with a hard deadline before the deadline", () => {
  it("gives a run no time to get ready, and takes off what the grace is below nothing", async () => {
    const run = { automation: { timeoutS: 340 } };
    expect(await runCase({ run, env: OTHER_TIMES })).toMatchObject({
      status: "FAILED",
      errorDetail: "Timed out: No bash output found",
    });
  });

  it("waits for a run until then", async () => {
    const run = { automation: { timeoutS: 1800 } };
    expect(await runCase({ run, env: OTHER_TIMES })).toMatchObject({
      status: "RUNNING",
      errorDetail: null,
      deadline: "ahead",
    });
  });
});
