/** The worker while Postgres is away: it stays up, says so, recovers by itself, and loses nothing. */
import { describe, expect, it } from "vitest";
import { startStartupGate } from "../../services/pgbouncer/startup-gate.ts";
import { type EmbeddedPostgres, startPostgres } from "../../services/postgres/embedded-postgres.ts";
import { loseStandby } from "../../services/postgres/lost-standby.ts";
import { countSessions } from "../../services/postgres/server-sessions.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import { askHealth, untilNotReady, untilReady } from "../../support/process/ask-health.ts";
import { runOnce, startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { holdLookups, seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";

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

describe("run behind an endpoint that lets nobody in", () => {
  it("is not ready whatever the endpoint calls that, counts nothing, and goes on when it is let in", async () => {
    await using world = await createWorld();
    const ids = await seedEnded(world, RUNS);
    const { hostname, port } = new URL(world.database.url);
    await using gate = await startStartupGate({ host: hostname, port: Number(port) });
    const url = new URL(world.database.url);
    url.hostname = gate.host;
    url.port = String(gate.port);
    const questions = holdLookups(world);
    const redis = { REDIS_URL: redisUrl() };
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      ...redis,
      DATABASE_URL: url.href,
    });
    await questions.asked(RUNS);
    gate.closeOn("XX000");
    questions.answer();
    await untilNotReady(worker, /^postgres: .*SQLSTATE XX000/);
    await expectAlive(worker);
    expect(worker.logs.filter(({ msg }) => msg === "a run could not be handled")).toEqual([]);
    gate.closedWith = null;
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  });

  it("ends once with 69", async () => {
    await using world = await createWorld();
    await seedEnded(world, RUNS);
    const { hostname, port } = new URL(world.database.url);
    await using gate = await startStartupGate({ host: hostname, port: Number(port) });
    gate.closedWith = "XX000";
    const url = new URL(world.database.url);
    url.hostname = gate.host;
    url.port = String(gate.port);
    const { code, stderr } = await runOnce({ ...world.env, DATABASE_URL: url.href }, ["once"]);
    expect(code, stderr).toBe(69);
    expect(stderr).toContain("SQLSTATE XX000");
  });
});

describe("run with more runs in hand than sessions", () => {
  it("ends its sweep, alive all the time, when its connections fall silent", async () => {
    await using world = await createWorld();
    const many = 128;
    const ids = await seedEnded(world, many);
    const { hostname, port } = new URL(world.database.url);
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const questions = holdLookups(world);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: redisUrl(),
      DATABASE_URL: proxy.url(world.database.url),
      WATCHDOG_CONCURRENCY: String(many),
      WATCHDOG_API_CONCURRENCY: String(many),
      WATCHDOG_DB_POOL: "4",
    });
    await questions.asked(many);
    proxy.blackhole();
    questions.answer();
    let over = false;
    const ended = worker.waitForLog("sweep failed", { withinMs: 90_000 }).finally(() => {
      over = true;
    });
    while (!over) await expectAlive(worker);
    await ended;
    await proxy.heal();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
  }, 240_000);
});

describe("run whose standby is lost", () => {
  it("ends its sweeps and keeps few sessions, until there is one again", async () => {
    await using server = await startServer();
    await using world = await createWorld({ server: server.url() });
    const ids = await seedEnded(world, 40);
    const questions = holdLookups(world);
    await using worker = await startWorker({
      ...world.env,
      ...QUICK,
      REDIS_URL: redisUrl(),
      WATCHDOG_DB_POOL: "4",
    });
    await questions.asked(8);
    await using lost = await loseStandby(server);
    await using sessions = await countSessions(world.database.url);
    questions.answer();
    const { err } = await worker.waitForLog("sweep failed", { withinMs: 120_000 });
    expect(JSON.stringify(err)).toMatch(/\d writes in a row had no answer in time/);
    await expectAlive(worker);
    expect(sessions.most).toBeLessThanOrEqual(4 + 2);
    await lost[Symbol.asyncDispose]();
    await untilReady(worker);
    await untilEachEndedOnce(world, ids);
    expect(sessions.most).toBeLessThanOrEqual(4 + 2);
  }, 240_000);
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
