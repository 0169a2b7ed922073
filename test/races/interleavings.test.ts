import { describe, expect, it } from "vitest";
import type { SweepReport } from "../../src/rules/report.ts";
import { seedExited } from "../support/world/proven-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";
import { CONCURRENT_WRITERS, type ConcurrentWriter } from "./concurrent-writers.ts";
import { atPoint, type Point } from "./interleavings.ts";
import {
  actionsOf,
  deleted,
  journal,
  type SampleRuns,
  seedSampleRuns,
  UNDISTURBED,
  wholeRow,
} from "./sample-runs.ts";

const LOST = {
  completed: "lost-race",
  failed: "lost-race",
  presumed: "lost-race",
  deferred: "lost-race",
  undetermined: "lost-race",
};

describe("a sweep that nobody disturbs", () => {
  it("does to each run what the writers below keep it from doing", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const report = await world.sweep({ env: { WATCHDOG_CLEANUP_DELAY: "0s" } });
    expect(actionsOf(report, sample)).toEqual(UNDISTURBED);
    expect((await journal(world)).map(({ run_id }) => run_id).sort()).toEqual(
      idsOf(sample, "completed", "failed", "presumed"),
    );
    expect([...deleted(world)].sort()).toEqual(
      [sample.byOutcome.completed, sample.byOutcome.failed, sample.byOutcome.presumed]
        .map(({ sandboxId }) => sandboxId)
        .sort(),
    );
  });
});

const POINTS_BEFORE_THE_WRITE: readonly Point[] = [
  "between the re-read and the question",
  "between the answer and the write",
];

describe("a sweep with a concurrent writer before the write", () => {
  const cases = POINTS_BEFORE_THE_WRITE.flatMap((point) =>
    CONCURRENT_WRITERS.map((writer) => ({ point, writer, name: `${writer.name} ${point}` })),
  );

  it.each(cases)("leaves every run to $name", async ({ point, writer }) => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const report = await disturbedSweep(world, sample, point, writer);
    expect(actionsOf(report, sample)).toEqual(LOST);
    expect(await journal(world)).toEqual([]);
    expect(deleted(world)).toEqual([]);
  });
});

describe("a sweep with a concurrent writer between the page and the re-read", () => {
  const point = "between the page and the re-read";

  it.each(CONCURRENT_WRITERS.filter(({ resolves }) => resolves))(
    "asks nobody about a run that needs no verdict after $name",
    async (writer) => {
      await using world = await createWorld();
      const sample = await seedSampleRuns(world);
      const report = await disturbedSweep(world, sample, point, writer);
      expect(actionsOf(report, sample)).toEqual(LOST);
      expect(await journal(world)).toEqual([]);
      expect(world.host.traffic.of("all").seen).toBe(0);
    },
  );

  it("judges a run by the sandbox and the command that a dispatcher has written", async () => {
    await using world = await createWorld();
    const sample = await seedSampleRuns(world);
    const { failed } = sample.byOutcome;
    // Of nobody else: a sandbox that two runs share goes with the first of them.
    const { id, sandboxId, bashCommandId } = await seedExited(world, 0);
    await world.database.sql`DELETE FROM automation_runs WHERE id = ${id}`;
    const report = await world.sweep({
      replace: atPoint(point, async (runId) => {
        if (runId !== failed.id) return;
        await world.database.sql`
          UPDATE automation_runs
          SET sandbox_id = ${sandboxId}, bash_command_id = ${bashCommandId}
          WHERE id = ${failed.id}`;
        world.host.update(sandboxId ?? "", {
          userId: failed.userId,
          orgId: failed.orgId,
        });
      }),
    });
    expect(actionsOf(report, sample)).toMatchObject({ failed: "completed" });
    expect(await world.row(failed.id)).toMatchObject({ status: "COMPLETED", error_detail: null });
  });
});

/** Every run of the sample is changed at the point, and nothing of it afterwards. */
async function disturbedSweep(
  world: World,
  sample: SampleRuns,
  point: Point,
  { act }: ConcurrentWriter,
): Promise<SweepReport> {
  const left = new Map<string, unknown>();
  const report = await world.sweep({
    env: { WATCHDOG_CLEANUP_DELAY: "0s" },
    replace: atPoint(point, async (runId) => {
      const before = await wholeRow(world, runId);
      await act(world.database.sql, runId);
      const after = await wholeRow(world, runId);
      expect(after).not.toEqual(before);
      left.set(runId, after);
    }),
  });
  expect([...left.keys()].sort()).toEqual(sample.runs.map(({ id }) => id).sort());
  for (const { id } of sample.runs) expect(await wholeRow(world, id)).toEqual(left.get(id));
  return report;
}

function idsOf(
  { byOutcome }: SampleRuns,
  ...outcomes: (keyof SampleRuns["byOutcome"])[]
): readonly string[] {
  return outcomes.map((outcome) => byOutcome[outcome].id).sort();
}
