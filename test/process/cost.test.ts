/** What looking at a worker costs, in processor time: that does not depend on how busy the machine is. */
import { readFile } from "node:fs/promises";
import { platform } from "node:os";
import { describe, expect, it } from "vitest";
import { untilReady } from "../support/process/ask-health.ts";
import { askMetrics } from "../support/process/ask-metrics.ts";
import { startWorker } from "../support/process/worker-process.ts";
import { createWorld } from "../support/world/world.ts";

const NEVER = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };
const MINUTE_OF_SCRAPES = 60;
/** 2 % of a core for a minute, in milliseconds. */
const ALLOWED_CPU_MS = 1200;
/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

describe.skipIf(platform() !== "linux")("an idle worker", () => {
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

async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
