/** Exit code 1: the sweep lost its epoch, its lease or its database on the way. */
import { describe, expect, it } from "vitest";
import type { SweepReport } from "../../../src/rules/report.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import { releaseRedisLease } from "../../support/process/held-lease.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { createWorld, exitedWith, randomCommandId, type World } from "../../support/world/world.ts";

const JSON_ARGS = ["once", "--output", "json"];
/** A loss is noticed within two seconds. Renewed more often, a command would have less time than it may need. */
const QUICK_LEASE = { WATCHDOG_LEASE_RENEW: "2s" };

describe("once exits with 1", () => {
  it("when a newer epoch was handed out while the backend was asked", async () => {
    await using world = await createWorld();
    const run = await seedExited(world);
    const question = holdLookup(world);
    await using worker = await startWorker(world.env, JSON_ARGS);
    await question.asked;
    await world.database.sql`UPDATE watchdog.leadership SET epoch = epoch + 1`;
    question.answer();
    await expectFailed(worker, "a newer epoch was handed out");
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("when the lease in Postgres went to somebody else, at once and with its questions aborted", async () => {
    await using world = await createWorld();
    const run = await seedExited(world);
    const question = holdLookup(world);
    await using worker = await startWorker({ ...world.env, ...QUICK_LEASE }, JSON_ARGS);
    await question.asked;
    await world.database.sql`UPDATE watchdog.leadership SET holder = 'other/1/beef/token'`;
    await expectFailed(worker, "the store does not hold the lease under our name any more");
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("when Redis forgot the lease", async () => {
    await using world = await createWorld();
    const run = await seedExited(world);
    const question = holdLookup(world);
    const env = { ...world.env, ...QUICK_LEASE, REDIS_URL: redisUrl() };
    await using worker = await startWorker(env, JSON_ARGS);
    await question.asked;
    await releaseRedisLease(redisUrl(), world.database.sql);
    await expectFailed(worker, "the store does not hold the lease under our name any more");
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("when Redis went away for longer than the lease is trusted", async () => {
    await using world = await createWorld();
    const run = await seedExited(world);
    const question = holdLookup(world);
    const { hostname, port } = new URL(redisUrl());
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const env = { ...world.env, ...QUICK_LEASE, REDIS_URL: proxy.url(redisUrl()) };
    await using worker = await startWorker(env, JSON_ARGS);
    await question.asked;
    await proxy.refuse();
    await expectFailed(worker, "the lease was not renewed in time");
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("when Postgres went away in the middle and did not come back", async () => {
    await using world = await createWorld();
    const run = await seedExited(world);
    const question = holdLookup(world);
    const { hostname, port } = new URL(world.database.url);
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const env = {
      ...world.env,
      DATABASE_URL: proxy.url(world.database.url),
      REDIS_URL: redisUrl(),
    };
    await using worker = await startWorker(env, JSON_ARGS);
    await question.asked;
    await proxy.refuse();
    question.answer();
    await expectFailed(worker, "ECONNREFUSED");
    expect((await world.row(run.id)).status).toBe("RUNNING");
  });

  it("when Postgres went away in the middle of a dry run", async () => {
    await using world = await createWorld();
    const first = await seedExited(world, 120_000);
    await seedExited(world);
    const question = holdLookup(world);
    const { hostname, port } = new URL(world.database.url);
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    const env = { ...world.env, DATABASE_URL: proxy.url(world.database.url) };
    // One at a time: the second run is read after the first was judged.
    await using worker = await startWorker({ ...env, WATCHDOG_CONCURRENCY: "1" }, [
      ...JSON_ARGS,
      "--dry-run",
    ]);
    await question.asked;
    await proxy.refuse();
    question.answer();
    const report = await expectFailed(worker, "ECONNREFUSED");
    expect(report).toMatchObject({ dryRun: true, epoch: null });
    expect(report.runs.map(({ runId }) => runId)).toEqual([first.id]);
  });
});

/** The document says `error`, and the log says why. */
async function expectFailed(worker: WorkerProcess, why: string): Promise<SweepReport> {
  expect(await worker.exited, worker.stderr()).toEqual({ code: 1, signal: null });
  const report = parseDocument(worker.stdout());
  expect(report).toMatchObject({ status: "error", exitCode: 1 });
  const failed = worker.logs.find(({ msg }) => msg === "sweep failed");
  expect(JSON.stringify(failed)).toContain(why);
  return report;
}

/** Keeps the lookup of the only run waiting until it is answered. */
function holdLookup(world: World) {
  const { promise, resolve: answer } = Promise.withResolvers<undefined>();
  world.host.intercept((request) => (request.kind === "lookup" ? promise : undefined));
  return { asked: world.host.traffic.until("lookup", 1), answer: () => answer(undefined) };
}

function seedExited(world: World, overdueMs = 60_000) {
  const bashCommandId = randomCommandId();
  return world.seed({ bashCommandId, overdueMs }, { outputs: [exitedWith(9, { bashCommandId })] });
}
