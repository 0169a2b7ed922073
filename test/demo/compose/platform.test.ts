/** The platform of deploy/compose with a worker beside it, as its containers are, but without containers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, expect, it, vi } from "vitest";
import { createDatabase } from "../../services/postgres/database.ts";
import { startWorker } from "../../support/process/worker-process.ts";

const WITHIN = { timeout: 90_000, interval: 100 };
const PROGRAM = join(import.meta.dirname, "platform.ts");

describe("the platform of deploy/compose", () => {
  it("has runs that a worker ends in each way, and goes when it is told to", async () => {
    await using database = await createDatabase();
    const shared = { DATABASE_URL: database.url, AUTOMATION_SERVICE_KEY: "compose" };
    const platform = spawn(process.execPath, [PROGRAM], {
      env: {
        ...shared,
        PLATFORM_NAME: "127.0.0.1",
        PLATFORM_PORT: "0",
        PLATFORM_EVERY_MS: "3600000",
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(platform, "exit");
    try {
      const [line] = await once(createInterface({ input: platform.stdout }), "line");
      await using worker = await startWorker({
        ...shared,
        AUTOMATION_OPENHANDS_API_BASE_URL: JSON.parse(line).url,
        WATCHDOG_SCHEDULE: "* * * * * *",
        WATCHDOG_DEFER: "1s",
        WATCHDOG_CONFIRMATIONS: "1",
        WATCHDOG_HEALTH_PORT: "off",
      });
      await worker.waitForLog("run-watchdog is up");
      await vi.waitFor(async () => {
        const rows = await database.sql`
          SELECT status, count(*)::int FROM automation_runs GROUP BY status ORDER BY status`;
        expect(rows).toEqual([
          { status: "COMPLETED", count: 6 },
          { status: "FAILED", count: 3 },
          { status: "RUNNING", count: 1 },
        ]);
      }, WITHIN);
    } finally {
      platform.kill("SIGTERM");
    }
    expect(await exited).toEqual([0, null]);
  });
});
