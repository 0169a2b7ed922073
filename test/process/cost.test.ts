/** What a worker costs that has nothing to do; what it takes of a core while it idles is in the bench. */
import { readFile } from "node:fs/promises";
import { platform } from "node:os";
import { describe, expect, inject, it, vi } from "vitest";
import "../services/provided.ts";
import { untilReady } from "../support/process/ask-health.ts";
import { askMetrics } from "../support/process/ask-metrics.ts";
import { startWorker } from "../support/process/worker-process.ts";
import { createWorld } from "../support/world/world.ts";

const NEVER = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };
const MINUTE_OF_SCRAPES = 60;
/** 2 % of a core for a minute, in milliseconds. */
const ALLOWED_CPU_MS = 1200;
const RESTING_MB = 80;
const PEAK_MB = 100;
const WITHIN = { timeout: 30_000, interval: 100 };
/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

describe.skipIf(platform() !== "linux")("an idle worker", () => {
  it(`takes less than ${RESTING_MB} MB when it rests, and never ${PEAK_MB} MB`, async () => {
    await using world = await createWorld();
    await using worker = await startWorker({
      ...world.env,
      ...NEVER,
      REDIS_URL: inject("redisUrl"),
    });
    await untilReady(worker);
    // It gives back what its start took.
    await vi.waitFor(async () => {
      expect(await memoryOf(worker.pid, "VmRSS")).toBeLessThan(RESTING_MB);
    }, WITHIN);
    expect(await memoryOf(worker.pid, "VmHWM")).toBeLessThan(PEAK_MB);
  });

  it("spends less than 2 % of a core on a scrape of its metrics a second", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...NEVER });
    await untilReady(worker);
    // The first answer is compiled.
    await askMetrics(worker);
    const beforeMs = await cpuMsOf(worker.pid);
    for (let scrape = 0; scrape < MINUTE_OF_SCRAPES; scrape += 1) await askMetrics(worker);
    expect((await cpuMsOf(worker.pid)) - beforeMs).toBeLessThan(ALLOWED_CPU_MS);
  });
});

/** In MB: as it is now, or at its highest. */
async function memoryOf(pid: number, field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
}

async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
