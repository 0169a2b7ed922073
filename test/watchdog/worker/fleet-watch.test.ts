import { describe, expect, it, vi } from "vitest";
import { type ClockReading, skewMs } from "../../../src/rules/clock-skew.ts";
import { StoreUnavailableError } from "../../../src/watchdog/errors.ts";
import type { FleetFigures } from "../../../src/watchdog/figure-ports.ts";
import { FleetWatch } from "../../../src/watchdog/worker/fleet-watch.ts";
import { FakeClock, settle } from "../../support/memory/fake-clock.ts";
import { NO_FIGURES } from "../../support/stands/figures.ts";
import { OPTIONS } from "../../support/stands/sweep-world.ts";
import { workerWorld } from "../../support/stands/worker-world.ts";

describe("FleetWatch", () => {
  it("remembers what the database said last, also when it is away by now", async () => {
    const { watch, figures, clock } = setup();
    expect(watch.sight).toBeNull();
    figures.mockResolvedValueOnce(at(clock, { overdueRuns: 3 }));
    watch.look();
    await settle();
    expect(watch.sight).toMatchObject({
      figures: { overdueRuns: 3 },
      seenAtMs: clock.monotonicMs(),
    });
    figures.mockRejectedValueOnce(new StoreUnavailableError("away"));
    await clock.advance(1000);
    watch.look();
    await settle();
    expect(watch.sight).toMatchObject({ seenAtMs: clock.monotonicMs() - 1000 });
  });

  it("tells how far the database's clock is ahead", async () => {
    const { watch, figures, clock, onClock } = setup();
    watch.look();
    await settle();
    figures.mockResolvedValueOnce(at(clock, {}, 7000));
    watch.look();
    await settle();
    expect(onClock.mock.calls.map(([reading]) => skewMs(reading))).toEqual([0, 7000]);
  });

  it("looks once more after a look during which it was told to, however often", async () => {
    const { watch, figures, clock } = setup();
    const slow = Promise.withResolvers<FleetFigures>();
    figures.mockReturnValueOnce(slow.promise);
    for (let times = 0; times < 3; times += 1) watch.look();
    await settle();
    expect(figures).toHaveBeenCalledTimes(1);
    slow.resolve(at(clock));
    await settle();
    expect(figures).toHaveBeenCalledTimes(2);
  });

  it("ends with the look that is under way", async () => {
    const { watch, figures, clock } = setup();
    const slow = Promise.withResolvers<FleetFigures>();
    figures.mockReturnValueOnce(slow.promise);
    watch.look();
    watch.look();
    let ended = false;
    const ending = watch.end().then(() => {
      ended = true;
    });
    await settle();
    expect(ended).toBe(false);
    slow.resolve(at(clock));
    await ending;
    expect(figures).toHaveBeenCalledTimes(1);
  });
});

describe("Worker and the fleet", () => {
  it("looks at its start, with every tick, and after a sweep", async () => {
    const { figures, run, tick, worker, clock } = workerWorld();
    run();
    await settle();
    expect(figures).toHaveBeenCalledTimes(1);
    await tick();
    await clock.advance(0);
    expect(figures).toHaveBeenCalledTimes(3);
    expect(worker.sight()).not.toBeNull();
  });

  it("looks with every tick while it stands by", async () => {
    const { figures, lease, run, tick } = workerWorld();
    await lease.acquire("7d0c1d8e", "host-2/1/cd34/t", 3_600_000);
    run();
    await settle();
    await tick();
    await tick();
    expect(figures).toHaveBeenCalledTimes(3);
  });
});

function setup() {
  const clock = new FakeClock();
  const figures = vi.fn(async () => at(clock));
  const onClock = vi.fn((_: ClockReading) => {});
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const watch = new FleetWatch({ figures: { figures }, clock, log, onClock }, OPTIONS.sweep);
  return { watch, figures, clock, onClock };
}

function at(clock: FakeClock, changes: Partial<FleetFigures> = {}, aheadMs = 0): FleetFigures {
  return { ...NO_FIGURES, nowMs: clock.now().getTime() + aheadMs, ...changes };
}
