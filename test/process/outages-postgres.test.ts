/** The worker while Postgres is away: it stays up, says so, recovers by itself, and loses nothing. */
import { describe, expect, it } from "vitest";
import { type EmbeddedPostgres, startPostgres } from "../../src/demo/embedded-postgres.ts";
import { askHealth, untilNotReady, untilReady } from "../support/ask-health.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../support/fate-of-runs.ts";
import { redisUrl } from "../support/redis.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { startWorker, type WorkerProcess } from "../support/worker-process.ts";
import { createWorld } from "../support/world.ts";

const QUICK = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "2s",
  WATCHDOG_LEASE_RENEW: "500ms",
  WATCHDOG_LEASE_MARGIN: "200ms",
  WATCHDOG_DEFER: "1s",
};
const RUNS = 5;

describe("run while Postgres is away", () => {
  it("starts without it and sweeps when it is there", async () => {
    await using server = await startServer();
    await using world = await createWorld({ server: server.url() });
    const ids = await seedEnded(world, RUNS);
    await server.kill();
    await using worker = await startWorker({ ...world.env, ...QUICK });
    await untilNotReady(worker, /^postgres: .*ECONNREFUSED/);
    await expectAlive(worker);
    await server.start();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });

  it("survives its crash in the middle of a sweep", async () => {
    await using server = await startServer();
    await using world = await createWorld({ server: server.url() });
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({ ...world.env, ...QUICK });
    await questions.asked(RUNS);
    await server.kill();
    questions.answer();
    await untilNotReady(worker, /^(postgres|lease): .*ECONNREFUSED/m);
    await expectAlive(worker);
    await server.start();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
    expect((await askHealth(worker, "/health")).status).toBe(200);
  });

  it("survives a restart in the middle of a sweep without a second verdict", async () => {
    await using server = await startServer();
    await using world = await createWorld({ server: server.url() });
    const ids = await seedEnded(world, RUNS);
    const questions = holdLookups(world);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: redisUrl(),
    });
    await questions.asked(RUNS);
    await server.restart();
    questions.answer();
    await untilEachEndedOnce(world, ids);
    await untilReady(worker);
  });
});

describe("run behind a half-open connection to Postgres", () => {
  it("notices, stays alive, and goes on when the network is back", async () => {
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const { hostname, port } = new URL(world.database.url);
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const questions = holdLookups(world);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: redisUrl(),
      DATABASE_URL: proxy.url(world.database.url),
    });
    await questions.asked(RUNS);
    proxy.blackhole();
    questions.answer();
    await untilNotReady(worker, /^postgres: /);
    // It did not take the end of the sweep to notice.
    expect((await askHealth(worker, "/health")).body).toMatchObject({ role: "sweeping" });
    await expectAlive(worker);
    await proxy.heal();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  }, 300_000);
});

function startServer(): Promise<EmbeddedPostgres> {
  return startPostgres({ settings: { fsync: "off" } });
}

async function expectAlive(worker: WorkerProcess): Promise<void> {
  expect(await askHealth(worker, "/livez")).toEqual({
    status: 200,
    body: { status: "ok", reasons: [] },
  });
}
