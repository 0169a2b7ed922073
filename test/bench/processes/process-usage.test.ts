import process from "node:process";
import { describe, expect, it } from "vitest";
import { parseCpuTime, usageOf } from "./process-usage.ts";

describe("parseCpuTime", () => {
  it.each([
    { text: "0:01.50", seconds: 1.5 },
    { text: "00:00:07", seconds: 7 },
    { text: "01:02:03", seconds: 3723 },
    { text: "2-00:00:01", seconds: 172_801 },
  ])("reads $text as $seconds s", ({ text, seconds }) => {
    expect(parseCpuTime(text)).toBe(seconds);
  });
});

describe("usageOf", () => {
  it("knows about this process what it knows itself", async () => {
    const { rss } = process.memoryUsage();
    const { residentMb, cpuMs } = await usageOf(process.pid);
    expect(residentMb).toBeGreaterThan(rss / 1024 / 1024 / 2);
    expect(residentMb).toBeLessThan((rss / 1024 / 1024) * 2);
    const { user, system } = process.cpuUsage();
    expect(cpuMs).toBeLessThanOrEqual((user + system) / 1000 + 1000);
  });

  it("rejects for a process that is not there", async () => {
    await expect(usageOf(2 ** 30)).rejects.toThrow();
  });
});
