import { describe, expect, it } from "vitest";
import { Metrics } from "../../../src/io/metrics/metrics.ts";
import { seriesValue } from "../../support/process/ask-metrics.ts";

describe("Metrics", () => {
  it("adds up what is counted, and keeps what is observed in seconds", async () => {
    const metrics = new Metrics();
    metrics.count("watchdog_verdicts_overturned_total", {}, 2);
    metrics.count("watchdog_verdicts_overturned_total");
    metrics.observe("watchdog_apply_duration_seconds", 20);
    const page = await metrics.page([]);
    expect(seriesValue(page, "watchdog_verdicts_overturned_total")).toBe(3);
    expect(seriesValue(page, "watchdog_apply_duration_seconds_sum")).toBe(0.02);
    expect(seriesValue(page, 'watchdog_apply_duration_seconds_bucket{le="0.01"}')).toBe(0);
    expect(seriesValue(page, 'watchdog_apply_duration_seconds_bucket{le="0.05"}')).toBe(1);
  });

  it("begins with the counters that alerts look at, at 0", async () => {
    const page = await new Metrics().page([]);
    expect(seriesValue(page, 'watchdog_cleanups_total{result="abandoned"}')).toBe(0);
    expect(seriesValue(page, "watchdog_verdicts_overturned_total")).toBe(0);
    expect(seriesValue(page, "watchdog_shield_violations_total")).toBe(0);
  });

  it("shows the gauges of this page, and none of an earlier one", async () => {
    const metrics = new Metrics();
    const held = { name: "watchdog_waiting_runs", value: 4, labels: { state: "held" } } as const;
    const first = await metrics.page([held, { name: "watchdog_epoch", value: 7 }]);
    expect(seriesValue(first, 'watchdog_waiting_runs{state="held"}')).toBe(4);
    expect(seriesValue(first, "watchdog_epoch")).toBe(7);
    const second = await metrics.page([]);
    expect(seriesValue(second, 'watchdog_waiting_runs{state="held"}')).toBeNull();
    expect(seriesValue(second, "watchdog_epoch")).toBeNull();
  });

  it("shares nothing with another one in the same process", async () => {
    const [one, other] = [new Metrics(), new Metrics()];
    one.count("watchdog_verdicts_overturned_total");
    expect(seriesValue(await other.page([]), "watchdog_verdicts_overturned_total")).toBe(0);
  });
});
