/** What /health tells, as the fleet sees it from two replicas. */
import { describe, expect, it, vi } from "vitest";
import { NOBODY_WAITS } from "../../../src/rules/report.ts";
import { freePort } from "../../services/free-port.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { askHealth, untilNotReady, untilReady } from "../../support/process/ask-health.ts";
import { askMetrics, seriesValue } from "../../support/process/ask-metrics.ts";
import {
  holdPostgresLease,
  holdRedisLease,
  OTHER_HOLDER,
  releaseRedisLease,
} from "../../support/process/held-lease.ts";
import { shiftedClock } from "../../support/process/shifted-clock.ts";
import { runOnce, startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { holdLookups } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";

const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };
const NEVER = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };

describe("/health", () => {
  it("has every field before anything happened", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...NEVER });
    const up = await worker.waitForLog("run-watchdog is up");
    await untilReady(worker);
    const { status, body } = await askHealth(worker, "/health");
    expect(status).toBe(200);
    expect(body).toEqual({
      status: "ok",
      reasons: [],
      mode: "live",
      paused: null,
      role: "idle",
      holder: up["holder"],
      lease: { kind: "postgres", holder: null, expiresAt: null, heldForSeconds: null },
      sweep: {
        nextAt: expect.stringMatching(/^\d{4}-01-01T00:00:00\.000Z$/),
        own: null,
        fleet: { epoch: 0, holder: null, startedAt: null, finishedAt: null },
      },
      backlog: {
        countedAt: null,
        stale: null,
        deferred: null,
        held: null,
        failing: null,
        oldestOverdueSeconds: null,
        cleanups: null,
      },
      waiting: { ...NOBODY_WAITS },
      guard: { heldFor: null },
      api: { breaker: "closed", refusal: null, pausedForSeconds: 0, concurrency: null },
      configuration: expect.stringMatching(/^[0-9a-f]{12}$/),
      build: { version: expect.stringMatching(/^\d+\.\d+\.\d+/), node: process.version },
    });
  });

  it("tells of the running sweep to its holder and to a standby", async () => {
    await using world = await createWorld();
    await world.seed({ overdueMs: 600_000 });
    const questions = holdLookups(world);
    await using leader = await startWorker({ ...world.env, ...EVERY_SECOND });
    await questions.asked(1);
    const beforeMs = Date.now();
    await using standby = await startWorker({ ...world.env, ...EVERY_SECOND });
    const { body } = await askHealth(leader, "/health");
    expect(body).toMatchObject({
      role: "sweeping",
      lease: { holder: body["holder"], heldForSeconds: expect.any(Number) },
      backlog: { countedAt: expect.any(String), stale: 1 },
    });
    const { oldestOverdueSeconds } = body["backlog"] as { oldestOverdueSeconds: number };
    expect(oldestOverdueSeconds).toBeGreaterThanOrEqual(600);

    const seen = await until(standby, { role: "standby" });
    expect(seen).toMatchObject({
      lease: {
        holder: body["holder"],
        expiresAt: expect.any(String),
        heldForSeconds: expect.any(Number),
      },
      sweep: {
        own: null,
        fleet: { epoch: expect.any(Number), startedAt: expect.any(String), finishedAt: null },
      },
    });
    const { expiresAt } = seen["lease"] as { expiresAt: string };
    expect(Date.parse(expiresAt)).toBeGreaterThan(beforeMs);
    expect(await askHealth(standby, "/readyz")).toMatchObject({ status: 200 });
    questions.answer();
  });

  it("tells of the last sweep in counts, without the runs", async () => {
    await using world = await createWorld();
    await world.seed({}, { status: "MISSING" });
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await worker.waitForLog("sweep finished");
    const { body } = await askHealth(worker, "/health");
    const { own } = body["sweep"] as { own: object };
    expect(own).toMatchObject({ status: "ok", counts: { stale: expect.any(Number) } });
    expect(own).not.toHaveProperty("runs");
    expect(body["backlog"]).toMatchObject({ cleanups: 1 });
  });

  it("is degraded while the backend answers for no run, and ok when it does again", async () => {
    await using world = await createWorld();
    await world.seed();
    const mend = world.host.intercept(() => ({ status: 503 }));
    const env = { ...world.env, ...EVERY_SECOND, WATCHDOG_DEFER: "1s" };
    await using worker = await startWorker(env);
    const reasons = ["1 x service_api mint_api_key: HTTP 503, look into its own log"];
    await until(worker, { status: "degraded", reasons });
    mend();
    await until(worker, { status: "ok", reasons: [] });
  });

  it("says on every replica which runs got no answer and why, until they are judged", async () => {
    await using world = await createWorld();
    const { sql } = world.database;
    await world.seed();
    world.host.intercept(() => ({ status: 503 }));
    // Time enough to take the lease between two sweeps.
    const env = { ...world.env, WATCHDOG_SCHEDULE: "*/4 * * * * *" };
    const reasons = ["1 x service_api mint_api_key: HTTP 503, look into its own log"];
    await using worker = await startWorker(env);
    await until(worker, { role: "idle", status: "degraded", reasons });
    await holdPostgresLease(sql);
    // However long this takes, it is not too long ago.
    await sql`UPDATE watchdog.leadership SET sweep_finished_at = now() + interval '1 hour'`;
    await using other = await startWorker(env);
    for (const each of [worker, other]) {
      const waiting = { unanswered: 1, causes: [{ count: 1, remedy: "look into its own log" }] };
      await until(each, { status: "degraded", role: "standby", reasons, waiting });
    }
    await sql`UPDATE automation_runs SET status = 'COMPLETED'`;
    for (const each of [worker, other]) await until(each, { status: "ok", role: "standby" });
  });

  it("says that the clock of Postgres is another one, and by how much", async () => {
    await using world = await createWorld();
    {
      const env = { ...world.env, ...EVERY_SECOND, ...shiftedClock(300_000) };
      await using worker = await startWorker(env);
      const reason = /^the clock of Postgres is (29\d|300) s behind this worker's/;
      await until(worker, { status: "degraded", reasons: [expect.stringMatching(reason)] });
    }
    const { code, stderr } = await runOnce({ ...world.env, ...shiftedClock(-300_000) }, ["once"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/the clock of Postgres is (29\d|300) s ahead of this worker's/);
    const asked = await runOnce({ ...world.env, ...shiftedClock(-300_000) }, ["status", "--json"]);
    expect(JSON.parse(asked.stdout).reasons).toEqual([
      expect.stringMatching(/^the clock of Postgres is (29\d|300) s ahead of this machine's/),
    ]);
  });

  it("says which clocks are off, and so do the metrics and the log, once each", async () => {
    await using world = await createWorld();
    await world.seed();
    const env = { ...world.env, ...EVERY_SECOND, REDIS_URL: redisUrl(), ...shiftedClock(300_000) };
    await using worker = await startWorker(env);
    await until(worker, {
      status: "degraded",
      reasons: ["Postgres", "Redis", "the backend"].map((whose) =>
        expect.stringMatching(
          new RegExp(`^the clock of ${whose} is (29\\d|300) s behind this worker's, check their`),
        ),
      ),
    });
    const { text } = await askMetrics(worker);
    for (const peer of ["postgres", "redis", "backend"]) {
      const skew = seriesValue(text, `watchdog_clock_skew_seconds{peer="${peer}"}`);
      expect(skew).toBeLessThan(-290);
    }
    const said = worker
      .stdout()
      .split("\n")
      .filter((line) => line.includes("a clock is off"));
    expect(said.map((line) => JSON.parse(line).clock).toSorted()).toEqual([
      "backend",
      "postgres",
      "redis",
    ]);
  });

  it("is 503 with the remedy while the lease's key has no expiry", async () => {
    await using world = await createWorld();
    await holdRedisLease(redisUrl(), world.database.sql, false);
    await using worker = await startWorker({
      ...world.env,
      ...EVERY_SECOND,
      REDIS_URL: redisUrl(),
    });
    await until(worker, {
      status: "failing",
      // On a slow machine it says as well that nobody has swept for some ticks.
      reasons: expect.arrayContaining([
        expect.stringMatching(/no expiry and blocks every worker: delete it/),
      ]),
      lease: { kind: "redis", holder: OTHER_HOLDER, expiresAt: null },
    });
    expect(await askHealth(worker, "/health")).toMatchObject({ status: 503 });
    expect(await askHealth(worker, "/livez")).toMatchObject({ status: 200 });
    expect(await askHealth(worker, "/readyz")).toMatchObject({ status: 200 });
    await releaseRedisLease(redisUrl(), world.database.sql);
    await until(worker, { status: "ok" });
  });

  it("is degraded with the remedy while other workers use another kind of lease", async () => {
    await using world = await createWorld();
    await world.database.sql`
      UPDATE watchdog.leadership
      SET lease_kind = 'redis', progressed_at = now() + interval '1 hour'`;
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await until(worker, {
      status: "degraded",
      role: "standby",
      reasons: [expect.stringMatching(/redis lease: give all of them the same REDIS_URL/)],
    });
    expect(await askHealth(worker, "/readyz")).toMatchObject({ status: 200 });
  });

  it("shows nobody the token of the lease, and neither does the log", async () => {
    await using world = await createWorld();
    await world.seed();
    const questions = holdLookups(world);
    const env = { ...world.env, ...EVERY_SECOND, LOG_LEVEL: "trace" };
    await using leader = await startWorker(env);
    await questions.asked(1);
    await using standby = await startWorker(env);
    await until(standby, { role: "standby" });
    const [row] = await world.database.sql<{ holder: string }[]>`
      SELECT holder FROM watchdog.leadership`;
    const [, holder = "", token = ""] = /^(.*)\/([^/]+)$/.exec(row?.holder ?? "") ?? [];
    await until(standby, { lease: { holder }, sweep: { fleet: { holder } } });
    for (const worker of [leader, standby]) {
      const { body } = await askHealth(worker, "/health");
      expect(token).not.toBe("");
      expect(JSON.stringify(body)).not.toContain(token);
      expect(worker.stdout()).not.toContain(token);
    }
    questions.answer();
  });

  it("says what is wrong with a store and not where it is; the log says both", async () => {
    await using world = await createWorld();
    const port = await freePort("127.0.0.1");
    const there = new URL(world.database.url);
    const away = { postgres: there.href.replace(there.host, `localhost:${port}`) };
    const cases = [
      { DATABASE_URL: away.postgres, says: /^postgres: .* failed: ECONNREFUSED/ },
      { REDIS_URL: `redis://localhost:${port}`, says: /^lease: .* failed: .*ECONNREFUSED/ },
      { REDIS_URL: `redis://cache.invalid:${port}`, says: /^lease: .* failed: .*(ENOT|EAI)/ },
    ];
    for (const { says, ...urls } of cases) {
      await using worker = await startWorker({ ...world.env, ...NEVER, ...urls });
      await untilNotReady(worker, says);
      for (const path of ["/readyz", "/health"]) {
        const text = JSON.stringify((await askHealth(worker, path)).body.reasons);
        expect(text).not.toMatch(/localhost|cache\.invalid|127\.0\.0\.1|::1/);
        expect(text).not.toContain(String(port));
      }
      expect(worker.stdout()).toContain(String(port));
    }
  });

  it("is 503 when nobody has swept, on a replica that cannot", async () => {
    await using world = await createWorld();
    await world.database.sql`
      UPDATE watchdog.leadership SET sweep_finished_at = now() - interval '2 years'`;
    await using worker = await startWorker({ ...world.env, ...EVERY_SECOND });
    await until(worker, { status: "ok" });
    await world.database.sql`ALTER TABLE automation_runs RENAME TO away`;
    await until(worker, {
      status: "failing",
      reasons: expect.arrayContaining([
        expect.stringMatching(/^nobody has swept for 3 scheduled ticks: /),
      ]),
    });
    expect(await askHealth(worker, "/health")).toMatchObject({ status: 503 });
    expect(await askHealth(worker, "/livez")).toMatchObject({ status: 200 });
  });
});

/** Settles when /health matches, with the whole of it. */
async function until(worker: WorkerProcess, expected: object) {
  return await vi.waitFor(async () => {
    const { body } = await askHealth(worker, "/health");
    expect(body).toMatchObject(expected);
    return body;
  }, 90_000);
}
