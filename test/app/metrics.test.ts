import { describe, expect, it } from "vitest";
import { workerMetrics } from "../../src/app/metrics.ts";
import type { ObservedCall } from "../../src/io/http/observed.ts";
import { seriesValue } from "../support/process/ask-metrics.ts";
import { workerWorld } from "../support/stands/worker-world.ts";

const CALL: ObservedCall = {
  source: "sandbox_api",
  operation: "get_sandbox",
  result: "ok",
  durationMs: 20,
};

describe("the metrics of a worker", () => {
  it("count runs that another watchdog ended, and verdicts that were overturned", async () => {
    const { metrics, page } = setup();
    metrics.hooks.onEndedElsewhere?.(3);
    metrics.hooks.onOverturned?.(2);
    const text = await page();
    expect(seriesValue(text, "watchdog_shield_violations_total")).toBe(3);
    expect(seriesValue(text, "watchdog_verdicts_overturned_total")).toBe(2);
  });

  it("count calls by what came of them", async () => {
    const { metrics, page } = setup();
    metrics.onCall(CALL);
    metrics.onCall({ ...CALL, result: "rate_limited" });
    const text = await page();
    const series = 'watchdog_backend_calls_total{source="sandbox_api",operation="get_sandbox"';
    expect(seriesValue(text, `${series},result="ok"}`)).toBe(1);
    expect(seriesValue(text, `${series},result="rate_limited"}`)).toBe(1);
  });
});

function setup() {
  const metrics = workerMetrics();
  const build = { version: "1.2.3", node: "v24", fingerprint: "abc" };
  const pool = { size: 8, inUse: 0, waiting: 0, leftBehind: 0 };
  const facts = workerWorld().facts();
  return { metrics, page: () => metrics.page({ build, facts, sight: null, pool }) };
}
