import { describe, expect, it } from "vitest";
import type { SweepReport } from "../../src/rules/report.ts";
import { createWorld, type World } from "../support/world/world.ts";
import {
  actionsOf,
  deleted,
  type Fleet,
  journal,
  seedFleet,
  UNDISTURBED,
  wholeRow,
} from "./fleet.ts";
import { type Gap, inGap } from "./gaps.ts";
import { INTRUDERS, type Intruder } from "./intruders.ts";

const LOST = {
  completed: "lost-race",
  failed: "lost-race",
  presumed: "lost-race",
  deferred: "lost-race",
  undetermined: "lost-race",
};

describe("a sweep of a fleet that nobody disturbs", () => {
  it("does to each run what the gaps below keep it from doing", async () => {
    await using world = await createWorld();
    const fleet = await seedFleet(world);
    const report = await world.sweep({ env: { WATCHDOG_CLEANUP_DELAY: "0s" } });
    expect(actionsOf(report, fleet)).toEqual(UNDISTURBED);
    expect((await journal(world)).map(({ run_id }) => run_id).sort()).toEqual(
      idsOf(fleet, "completed", "failed", "presumed"),
    );
    expect([...deleted(world)].sort()).toEqual(
      [fleet.byOutcome.completed, fleet.byOutcome.failed, fleet.byOutcome.presumed]
        .map(({ sandboxId }) => sandboxId)
        .sort(),
    );
  });
});

const WRITE_GAPS: readonly Gap[] = [
  "between the re-read and the question",
  "between the answer and the write",
];

describe("a sweep with somebody else in a gap before the write", () => {
  const cases = WRITE_GAPS.flatMap((gap) =>
    INTRUDERS.map((intruder) => ({ gap, intruder, name: `${intruder.name} ${gap}` })),
  );

  it.each(cases)("leaves every run to $name", async ({ gap, intruder }) => {
    await using world = await createWorld();
    const fleet = await seedFleet(world);
    const report = await disturbedSweep(world, fleet, gap, intruder);
    expect(actionsOf(report, fleet)).toEqual(LOST);
    expect(await journal(world)).toEqual([]);
    expect(deleted(world)).toEqual([]);
  });
});

describe("a sweep with somebody else between the page and the re-read", () => {
  const gap = "between the page and the re-read";

  it.each(INTRUDERS.filter(({ ends }) => ends))(
    "asks nobody about a run that was ended by $name",
    async (intruder) => {
      await using world = await createWorld();
      const fleet = await seedFleet(world);
      const report = await disturbedSweep(world, fleet, gap, intruder);
      expect(actionsOf(report, fleet)).toEqual(LOST);
      expect(await journal(world)).toEqual([]);
      expect(world.host.traffic.of("all").seen).toBe(0);
    },
  );

  it("judges a run by the sandbox and the command that a dispatcher has written", async () => {
    await using world = await createWorld();
    const fleet = await seedFleet(world);
    const { failed, completed } = fleet.byOutcome;
    const report = await world.sweep({
      replace: inGap(gap, async (runId) => {
        if (runId !== failed.id) return;
        await world.database.sql`
          UPDATE automation_runs
          SET sandbox_id = ${completed.sandboxId}, bash_command_id = ${completed.bashCommandId}
          WHERE id = ${failed.id}`;
        world.host.update(completed.sandboxId ?? "", {
          userId: failed.userId,
          orgId: failed.orgId,
        });
      }),
    });
    expect(actionsOf(report, fleet)).toMatchObject({ failed: "completed" });
    expect(await world.row(failed.id)).toMatchObject({ status: "COMPLETED", error_detail: null });
  });
});

/** Every run of the fleet is changed in the gap, and nothing of it afterwards. */
async function disturbedSweep(
  world: World,
  fleet: Fleet,
  gap: Gap,
  { act }: Intruder,
): Promise<SweepReport> {
  const left = new Map<string, unknown>();
  const report = await world.sweep({
    env: { WATCHDOG_CLEANUP_DELAY: "0s" },
    replace: inGap(gap, async (runId) => {
      const before = await wholeRow(world, runId);
      await act(world.database.sql, runId);
      const after = await wholeRow(world, runId);
      expect(after).not.toEqual(before);
      left.set(runId, after);
    }),
  });
  expect([...left.keys()].sort()).toEqual(fleet.runs.map(({ id }) => id).sort());
  for (const { id } of fleet.runs) expect(await wholeRow(world, id)).toEqual(left.get(id));
  return report;
}

function idsOf({ byOutcome }: Fleet, ...outcomes: (keyof Fleet["byOutcome"])[]): readonly string[] {
  return outcomes.map((outcome) => byOutcome[outcome].id).sort();
}
