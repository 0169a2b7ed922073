import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { completeRun, dispatchPhaseTwo } from "../fake-host/callback.ts";
import { atPoint } from "../races/interleavings.ts";
import { journal } from "../races/sample-runs.ts";
import { createWorld, type World } from "../support/world/world.ts";

let world: World;

beforeAll(async () => {
  world = await createWorld();
});

beforeEach(() => world.host.traffic.reset());

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

it("a run that has ended since the page was read costs no question", async () => {
  await world.seed();
  const ends = (runId: string) =>
    completeRun(world.database.sql, { runId, status: "FAILED", error: "said the callback" });
  const report = await world.sweep({ replace: atPoint("between the page and the re-read", ends) });
  expect(report.counts).toMatchObject({ stale: 1, lostRace: 1 });
  expect(world.host.traffic.of("all").seen).toBe(0);
});

it("a run without a sandbox that gets one while it is judged keeps running, with its later deadline", async () => {
  const { id } = await world.seed({ sandboxId: null, bashCommandId: null });
  const named = { sandboxId: "late", bashCommandId: "0".repeat(32), timeoutInMs: 3_600_000 };
  const interfere = (runId: string) => dispatchPhaseTwo(world.database.sql, { runId, ...named });
  const report = await world.sweep({
    replace: atPoint("between the answer and the write", interfere),
  });
  expect(report.counts).toMatchObject({ failed: 0, lostRace: 1 });
  await expectLaterDeadline(id);
});

it("a deferral does not shorten the deadline that the dispatcher has set meanwhile", async () => {
  const { id } = await world.seed();
  const interfere = (runId: string) =>
    dispatchPhaseTwo(world.database.sql, { runId, timeoutInMs: 3_600_000 });
  const report = await world.sweep({
    replace: atPoint("between the answer and the write", interfere),
  });
  expect(report.counts).toMatchObject({ deferred: 0, lostRace: 1 });
  await expectLaterDeadline(id);
});

async function expectLaterDeadline(runId: string): Promise<void> {
  const [row] = await world.database.sql`
    SELECT status, timeout_at > now() + interval '50 minutes' AS kept
    FROM automation_runs WHERE id = ${runId}`;
  expect(row).toEqual({ status: "RUNNING", kept: true });
  expect((await journal(world)).filter(({ run_id }) => run_id === runId)).toEqual([]);
}
