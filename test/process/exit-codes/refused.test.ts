/** Exit codes 69 and 75: nothing could be swept, or somebody else is about to. */
import { describe, expect, it } from "vitest";
import { freePort } from "../../services/free-port.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import {
  holdPostgresLease,
  holdRedisLease,
  OTHER_HOLDER,
  releasePostgresLease,
  releaseRedisLease,
} from "../../support/process/held-lease.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { createWorld } from "../../support/world/world.ts";

const JSON_ARGS = ["once", "--output", "json"];
const NOTHING_SWEPT = { epoch: null, durationMs: 0, runs: [], counts: { stale: 0 } };

describe("once exits with 69", () => {
  it("when Postgres is down", async () => {
    await using world = await createWorld();
    const env = { ...world.env, DATABASE_URL: await toClosedPort(world.env["DATABASE_URL"]) };
    const { code, stdout, stderr } = await runOnce(env, JSON_ARGS);
    expect(code, stderr).toBe(69);
    expect(parseDocument(stdout)).toMatchObject({ ...NOTHING_SWEPT, status: "unavailable" });
    expect(stderr).toMatch(/"msg":"nothing was swept"/);
    expect(stderr).toContain("ECONNREFUSED");
  });

  it("when Postgres accepts connections and never answers", async () => {
    await using world = await createWorld();
    const { hostname, port } = new URL(world.database.url);
    await using proxy = await startTcpProxy({ host: hostname, port: Number(port) });
    proxy.blackhole();
    const env = { ...world.env, DATABASE_URL: proxy.url(world.database.url) };
    const { code, stdout } = await runOnce(env, JSON_ARGS);
    expect(code).toBe(69);
    expect(parseDocument(stdout).status).toBe("unavailable");
  });

  it("when Redis is down, without taking an epoch or asking the backend", async () => {
    await using world = await createWorld();
    await world.seed();
    const env = { ...world.env, REDIS_URL: await toClosedPort(redisUrl()) };
    const { code, stdout, stderr } = await runOnce(env, JSON_ARGS);
    expect(code, stderr).toBe(69);
    expect(parseDocument(stdout)).toMatchObject({ ...NOTHING_SWEPT, status: "unavailable" });
    expect(world.host.requests).toEqual([]);
    const [row] = await world.database.sql`SELECT epoch::int FROM watchdog.leadership`;
    expect(row).toEqual({ epoch: 0 });
  });

  it("when a dry run cannot reach Postgres", async () => {
    await using world = await createWorld();
    const env = { ...world.env, DATABASE_URL: await toClosedPort(world.env["DATABASE_URL"]) };
    const { code, stdout } = await runOnce(env, [...JSON_ARGS, "--dry-run"]);
    expect(code).toBe(69);
    expect(parseDocument(stdout)).toMatchObject({ status: "unavailable", dryRun: true });
  });
});

describe("once exits with 75", () => {
  it("when another worker holds the lease in Postgres, and names it", async () => {
    await using world = await createWorld();
    await world.seed();
    await holdPostgresLease(world.database.sql);
    const { code, stdout, stderr } = await runOnce(world.env, JSON_ARGS);
    expect(code, stderr).toBe(75);
    expect(parseDocument(stdout)).toMatchObject({ ...NOTHING_SWEPT, status: "lease-held" });
    expect(stderr).toContain(`"holder":"${OTHER_HOLDER}"`);
    expect(world.host.requests).toEqual([]);
  });

  it("when another worker holds the lease in Redis", async () => {
    await using world = await createWorld();
    const env = { ...world.env, REDIS_URL: redisUrl() };
    await holdRedisLease(redisUrl(), world.database.sql);
    const { code, stdout, stderr } = await runOnce(env, JSON_ARGS);
    await releaseRedisLease(redisUrl(), world.database.sql);
    expect(code, stderr).toBe(75);
    expect(parseDocument(stdout).status).toBe("lease-held");
    expect(stderr).toContain(`"holder":"${OTHER_HOLDER}"`);
  });

  it("when --wait runs out, which begins when it is refused and not while it connects", async () => {
    await using world = await createWorld();
    await holdPostgresLease(world.database.sql);
    const { code, stderr } = await runOnce(world.env, [...JSON_ARGS, "--wait", "1ms"]);
    expect(code).toBe(75);
    expect(stderr.match(/waiting for the lease/g)).toHaveLength(1);
  });

  it("when --wait runs out", async () => {
    await using world = await createWorld();
    await holdPostgresLease(world.database.sql);
    const { code, stdout, stderr } = await runOnce(world.env, [...JSON_ARGS, "--wait", "1200ms"]);
    expect(code).toBe(75);
    expect(parseDocument(stdout).status).toBe("lease-held");
    expect(stderr.match(/waiting for the lease/g)).toHaveLength(1);
  });
});

describe("once --wait", () => {
  it("sweeps when the holder is done in time", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    await holdPostgresLease(world.database.sql);
    await using waiting = await startWorker(world.env, [...JSON_ARGS, "--wait", "5m"]);
    const { holder } = await waiting.waitForLog("waiting for the lease");
    expect(holder).toBe(OTHER_HOLDER);
    await releasePostgresLease(world.database.sql);
    expect(await waiting.exited).toEqual({ code: 0, signal: null });
    expect(parseDocument(waiting.stdout()).counts).toMatchObject({ stale: 1, failed: 1 });
    expect((await world.row(id)).status).toBe("FAILED");
  });
});

/** The same URL with a port where nobody listens. */
async function toClosedPort(of: string | undefined): Promise<string> {
  const url = new URL(of ?? "");
  url.hostname = "127.0.0.1";
  url.port = String(await freePort("127.0.0.1"));
  return url.href;
}
