import { expect, it } from "vitest";
import { health, liveness } from "../../src/rules/health.ts";
import { WorkerStatus } from "../../src/watchdog/worker/status/worker-status.ts";
import { FakeClock } from "../support/memory/fake-clock.ts";
import { ManualSchedule } from "../support/stands/worker-world.ts";

const BACKLOG = { count: 1, deferred: 0, held: 0, failing: 0, oldestOverdueMs: 60_000 };
/** Three times the deadline of a verification, and half a minute. */
const PATIENCE_MS = 120_000;

it("a sweep that hangs fails the probe and is named, one that moves on is legal however long it takes", async () => {
  const clock = new FakeClock();
  const state = new WorkerStatus(clock, new ManualSchedule(clock), {
    holder: "host-1/4711/ab12",
    leaseKind: "postgres",
    verifyTimeoutMs: 30_000,
    api: null,
    observes: false,
  });
  state.watch.onBegin?.({ epoch: 1, backlog: BACKLOG });
  for (let minutes = 0; minutes < 10; minutes += 1) {
    await clock.advance(60_000);
    state.ticked();
    state.watch.onProgress?.();
  }
  expect(liveness(state.facts())).toEqual({ alive: true, reasons: [] });

  for (let minutes = 0; minutes < 2; minutes += 1) {
    await clock.advance(60_000);
    state.ticked();
  }
  expect(liveness(state.facts()).alive).toBe(true);
  await clock.advance(1);
  const reason = `the running sweep has made no progress for ${PATIENCE_MS / 1000} s: restart this worker`;
  expect(liveness(state.facts())).toEqual({ alive: false, reasons: [reason] });
  expect(health(state.facts())).toMatchObject({ status: "failing" });
  expect(health(state.facts()).reasons).toContain(reason);
});
