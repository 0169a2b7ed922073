/** Redis over TLS, as the program meets it: trust comes from NODE_EXTRA_CA_CERTS alone. */
import { describe, expect, it } from "vitest";
import { AUTHORITY_FILE } from "../../services/certificates.ts";
import { startTlsRedis } from "../../services/redis/tls.ts";
import { parseDocument } from "../../support/process/report-document.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { seedEnded, untilEachEndedOnce } from "../../support/world/end-of-runs.ts";
import { createWorld } from "../../support/world/world.ts";
import { QUICK, untilTold, untilWell } from "./redis-trouble.ts";

const TRUSTING = { NODE_EXTRA_CA_CERTS: AUTHORITY_FILE };
const ONCE = ["once", "--output", "json"];

describe("once with a Redis over TLS", () => {
  it("sweeps when it trusts the authority", async () => {
    await using world = await createWorld();
    await using redis = await startTlsRedis("server");
    const [id] = await seedEnded(world, 1);
    const env = { ...world.env, ...TRUSTING, REDIS_URL: redis.url };
    const { code, stdout, stderr } = await runOnce(env, ONCE);
    expect(code, stderr).toBe(0);
    expect(parseDocument(stdout).runs).toMatchObject([{ runId: id, action: "completed" }]);
  });

  it("sweeps nothing and names the remedy when it does not", async () => {
    await using world = await createWorld();
    await using redis = await startTlsRedis("server");
    const { code, stdout, stderr } = await runOnce({ ...world.env, REDIS_URL: redis.url }, ONCE);
    expect(code, stderr).toBe(69);
    expect(parseDocument(stdout).status).toBe("unavailable");
    expect(stderr).toContain("self-signed certificate in certificate chain");
    expect(stderr).toContain("let NODE_EXTRA_CA_CERTS name a file");
    expect(world.host.requests).toEqual([]);
  });

  it("sweeps nothing and names the remedy when the certificate is another host's", async () => {
    await using world = await createWorld();
    await using redis = await startTlsRedis("elsewhere");
    const env = { ...world.env, ...TRUSTING, REDIS_URL: redis.url };
    const { code, stdout, stderr } = await runOnce(env, ONCE);
    expect(code, stderr).toBe(69);
    expect(parseDocument(stdout).status).toBe("unavailable");
    expect(stderr).toContain("does not match certificate's altnames");
    expect(stderr).toContain("REDIS_URL has to use a name that the server's certificate");
  });
});

describe("run with a Redis over TLS whose certificate has expired", () => {
  it("says so, and sweeps without a restart when it is renewed", async () => {
    await using world = await createWorld();
    await using redis = await startTlsRedis("expired");
    const ids = await seedEnded(world, 3);
    const env = { ...world.env, ...QUICK, ...TRUSTING, REDIS_URL: redis.url };
    await using worker = await startWorker(env);
    await untilTold(worker, /^lease: .*certificate has expired: renew the server's certificate$/);
    expect(world.host.requests).toEqual([]);
    await redis.show("server");
    await untilEachEndedOnce(world, ids);
    await untilWell(worker);
  });
});
