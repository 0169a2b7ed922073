import { describe, expect, it, vi } from "vitest";
import { cronSchedule } from "../../src/io/schedule.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function at(time: string, pattern: string) {
  return cronSchedule(pattern, { now: () => new Date(time) });
}

describe("cronSchedule", () => {
  it("names the next tick in UTC", () => {
    expect(at("2026-03-29T00:59:30Z", "0 3 * * *").nextAt()).toEqual(
      new Date("2026-03-29T03:00:00Z"),
    );
  });

  const distances = [
    { name: "is even between two ticks", time: "10:00:30", pattern: "* * * * *", ms: MINUTE_MS },
    { name: "is even at a tick", time: "10:00:00", pattern: "* * * * *", ms: MINUTE_MS },
    {
      name: "is long after the last of an hour",
      time: "10:00:50",
      pattern: "*/40 * * * * *",
      ms: 20_000,
    },
    { name: "is short before it", time: "10:00:30", pattern: "*/40 * * * * *", ms: 40_000 },
    {
      name: "spans the night",
      time: "20:00:00",
      pattern: "*/10 9-17 * * *",
      ms: 15 * HOUR_MS + 10 * MINUTE_MS,
    },
  ];
  for (const { name, time, pattern, ms } of distances) {
    it(`gives the distance around now, which ${name}`, () => {
      expect(at(`2026-11-20T${time}Z`, pattern).intervalMs()).toBe(ms);
    });
  }

  it("tells how long ago the third-last tick was", () => {
    expect(at("2026-11-20T10:00:30Z", "* * * * *").sinceTickMs(3)).toBe(2 * MINUTE_MS + 30_000);
  });

  it("counts the ticks before a pause of the schedule", () => {
    const schedule = at("2026-11-20T09:00:30Z", "*/10 9-17 * * *");
    expect(schedule.sinceTickMs(3)).toBe(15 * HOUR_MS + 20 * MINUTE_MS + 30_000);
  });

  it("ticks until it is stopped", async () => {
    const onTick = vi.fn();
    const stop = cronSchedule("* * * * * *", { now: () => new Date() }).start(onTick);
    await vi.waitFor(() => expect(onTick).toHaveBeenCalled(), 5000);
    stop();
  });
});
