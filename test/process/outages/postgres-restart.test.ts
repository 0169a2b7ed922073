/** PostgreSQL restarts while the worker's writes are under way inside it. */
import { describe, expect, it, vi } from "vitest";
import { pauseCommits } from "../../races/paused-commit.ts";
import { type EmbeddedPostgres, startPostgres } from "../../services/postgres/embedded-postgres.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { untilReady } from "../../support/process/ask-health.ts";
import { startWorker } from "../../support/process/worker-process.ts";
import { seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";

const RUNS = 4;
const QUICK = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "2s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_LEASE_MARGIN: "200ms",
  WATCHDOG_DEFER: "1s",
};

const STOPS = [
  ["fast: sessions are told, transactions rolled back", "SIGINT"],
  ["immediate: nobody is told, and what was done is recovered", "SIGQUIT"],
] as const;

describe.each(STOPS)("run while Postgres restarts (%s)", (_, signal) => {
  it.each([
    ["Postgres", () => ({})],
    ["Redis", () => ({ REDIS_URL: redisUrl() })],
  ])("in the middle of writes, ends each run once: lease in %s", async (_kind, leaseEnv) => {
    await using server = await startPostgres({ settings: { fsync: "off" } });
    await using world = await createWorld({ server: server.url() });
    const ids = await seedEnded(world, RUNS);
    // The session that holds the writes up ends with the server.
    const commits = await pauseCommits(world.database);
    await using worker = await startWorker({ ...world.env, ...QUICK, ...leaseEnv() });
    await commits.waiting(RUNS);
    await stop(server, signal);
    await server.start();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });
});

async function stop(server: EmbeddedPostgres, signal: NodeJS.Signals): Promise<void> {
  if (server.pid === null) throw new Error("the server is down already");
  process.kill(server.pid, signal);
  await vi.waitFor(() => expect(server.pid).toBeNull(), { timeout: 90_000 });
}
