/** The health endpoint of a worker: routes, what they cost, and what happens when there is none. */

import { once } from "node:events";
import { connect, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { openHealthServer } from "../../../src/io/health/server.ts";
import { freePort } from "../../services/free-port.ts";
import { redisUrl } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import { askHealth, untilReady } from "../../support/process/ask-health.ts";
import { runOnce, startWorker } from "../../support/process/worker-process.ts";
import { createWorld } from "../../support/world/world.ts";

/** Next time in a year: nothing happens by itself. */
const NEVER = { WATCHDOG_SCHEDULE: "0 0 1 1 *" };
const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *" };

describe("the health endpoint", () => {
  it("answers GET and HEAD on its routes, 404 elsewhere and 405 to other methods", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...NEVER });
    await untilReady(worker);
    const url = await worker.healthUrl();
    for (const path of ["/livez", "/readyz", "/health", "/livez?probe=1"]) {
      const response = await fetch(`${url}${path}`);
      expect({ path, status: response.status }).toEqual({ path, status: 200 });
      expect(response.headers.get("content-type")).toContain("application/json");
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(await response.json()).toMatchObject({ status: "ok", reasons: [] });
      const head = await fetch(`${url}${path}`, { method: "HEAD" });
      expect({ path, status: head.status, text: await head.text() }).toEqual({
        path,
        status: 200,
        text: "",
      });
    }
    for (const path of ["/nothing", "/livez/", "/constructor", "/__proto__", "//"]) {
      const response = await fetch(`${url}${path}`);
      expect({ path, status: response.status }).toEqual({ path, status: 404 });
      expect(await response.text()).toContain("/livez, /readyz, /health");
    }
    for (const method of ["POST", "DELETE", "OPTIONS"]) {
      const response = await fetch(`${url}/livez`, { method });
      expect({ method, status: response.status }).toEqual({ method, status: 405 });
      expect(response.headers.get("allow")).toBe("GET, HEAD");
    }
  });

  it("answers from memory: no request reaches Postgres, Redis or the backend", async () => {
    await using world = await createWorld();
    const database = new URL(world.database.url);
    const redis = new URL(redisUrl());
    await using toPostgres = await startTcpProxy({
      host: database.hostname,
      port: Number(database.port),
    });
    await using toRedis = await startTcpProxy({ host: redis.hostname, port: Number(redis.port) });
    await using worker = await startWorker({
      ...world.env,
      ...NEVER,
      DATABASE_URL: toPostgres.url(world.database.url),
      REDIS_URL: toRedis.url(redisUrl()),
    });
    await untilReady(worker);
    const before = [toPostgres.bytesUp, toPostgres.connections, toRedis.bytesUp];
    const paths = ["/livez", "/readyz", "/health", "/", "/nothing"];
    const url = await worker.healthUrl();
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) =>
        (await fetch(`${url}${paths[index % 5]}`)).arrayBuffer(),
      ),
    );
    expect([toPostgres.bytesUp, toPostgres.connections, toRedis.bytesUp]).toEqual(before);
    expect(before.every((count) => count > 0)).toBe(true);
    expect(world.host.requests).toEqual([]);
  });

  it("answers 500 where an answer cannot be made, and goes on", async () => {
    await using server = await openHealthServer({
      host: "127.0.0.1",
      port: 0,
      routes: {
        "/broken": () => {
          throw new Error("secret detail");
        },
        "/livez": () => ({ status: 200, body: {} }),
      },
    });
    const broken = await fetch(`${server.url}/broken`);
    expect(broken.status).toBe(500);
    expect(await broken.text()).not.toContain("secret detail");
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  });

  it("survives clients that say nothing, say nonsense, or hang up", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({ ...world.env, ...NEVER });
    const { hostname, port } = new URL(await worker.healthUrl());
    for (const text of ["", "nonsense\r\n\r\n", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"]) {
      const socket = connect({ host: hostname, port: Number(port) }).on("error", () => undefined);
      await once(socket, "connect");
      socket.write(text);
      socket.resetAndDestroy();
    }
    expect(await askHealth(worker, "/livez")).toMatchObject({ status: 200 });
  });

  it("ends run with 2 where it cannot listen, before any sweep, and says what to do", async () => {
    await using world = await createWorld();
    const { id } = await world.seed({}, { status: "MISSING" });
    const squatter = createServer().listen(0, "127.0.0.1");
    await once(squatter, "listening");
    const address = squatter.address();
    const taken = typeof address === "object" ? String(address?.port) : "";
    const cases = [
      { host: "127.0.0.1", port: taken, says: `127.0.0.1:${taken} failed: EADDRINUSE (stop the` },
      { host: "::", port: taken, says: `[::]:${taken} failed: EADDRINUSE (stop the program` },
      { host: "192.0.2.1", port: "0", says: "192.0.2.1:0 failed: EADDRNOTAVAIL (the host must be" },
      { host: "health.invalid", port: "0", says: "health.invalid:0 failed: E" },
    ];
    for (const { host, port, says } of cases) {
      const env = { ...world.env, ...EVERY_SECOND };
      const { code, stdout, stderr } = await runOnce(
        { ...env, WATCHDOG_HEALTH_HOST: host, WATCHDOG_HEALTH_PORT: port },
        ["run"],
      );
      expect({ host, code, stderr }).toEqual({
        host,
        code: 2,
        stderr: expect.stringContaining(says),
      });
      expect(stderr).toContain("WATCHDOG_HEALTH_PORT=off does without");
      expect(stdout).not.toContain("run-watchdog is up");
    }
    expect((await world.row(id)).status).toBe("RUNNING");
    squatter.close();
  });

  it("is found by healthcheck in the same environment", async () => {
    await using world = await createWorld();
    const env = {
      ...world.env,
      ...NEVER,
      WATCHDOG_HEALTH_PORT: String(await freePort("127.0.0.1")),
    };
    await using worker = await startWorker(env);
    await worker.healthUrl();
    const proxy = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: "http://127.0.0.1:1" };
    for (const more of [{}, proxy]) {
      const { code, stderr } = await runOnce({ ...env, ...more }, ["healthcheck"]);
      expect({ more, code, stderr }).toEqual({ more, code: 0, stderr: "" });
    }
    worker.kill();
    await worker.exited;
    expect(await runOnce(env, ["healthcheck"])).toMatchObject({ code: 1, stdout: "" });
  });

  it("does not exist when it is off", async () => {
    await using world = await createWorld();
    await using worker = await startWorker({
      ...world.env,
      ...NEVER,
      WATCHDOG_HEALTH_PORT: "off",
    });
    const up = await worker.waitForLog("run-watchdog is up");
    expect(up["health"]).toBe("off");
    expect(worker.logs.some(({ msg }) => msg.startsWith("health endpoint"))).toBe(false);
  });
});
