import { describe, expect, it, vi } from "vitest";
import { redisUrl, startRedis } from "../../services/redis/redis.ts";
import { forgetful, likeRedis, ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import { connectionsOf, expectUnavailable, IMPATIENT, NEVER_MS, setup, TTL_MS } from "./stand.ts";

describe("RedisLease when Redis is in trouble", () => {
  it("works as soon as a server that was down from the start is up", async () => {
    await using server = await startRedis();
    await server.kill();
    const { lease, installation } = setup(server.url, { connectTimeoutMs: NEVER_MS });
    await expectUnavailable(
      lease.acquire(installation, "w1/t", TTL_MS),
      /^acquiring the lease at redis 127\.0\.0\.1:\d+ failed: .*ECONNREFUSED/,
    );
    await server.start();
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
  });

  it("names the reason when a host with several addresses refuses", async () => {
    await using server = await startRedis();
    await server.kill();
    const { lease } = setup(server.url, { host: "localhost" });
    await expectUnavailable(lease.ping(), /at redis localhost:\d+ failed: .*ECONNREFUSED/);
  });

  it("works at the first call after a server that crashed while none was under way", async () => {
    await using server = await startRedis();
    const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const { lease, installation } = setup(server.url, { log });
    await lease.acquire(installation, "w1/t", TTL_MS);
    await server.restart();
    await vi.waitFor(
      () =>
        expect(log.debug).toHaveBeenCalledExactlyOnceWith(
          { host: server.host, port: server.port, err: expect.any(Error) },
          "connection to redis dropped",
        ),
      90_000,
    );
    expect(await lease.acquire(installation, "w2/t", TTL_MS)).toEqual({ kind: "acquired" });
  });

  it("names the first reason when a server crashes while a call is under way", async () => {
    await using server = await startRedis();
    const { lease, installation } = setup(server.url, { commandTimeoutMs: NEVER_MS });
    await lease.acquire(installation, "w1/t", TTL_MS);
    server.pause();
    const renewed = expectUnavailable(
      lease.renew(installation, "w1/t", TTL_MS),
      /failed: read ECONNRESET$/,
    );
    await new Promise(setImmediate);
    await server.kill();
    await renewed;
  });

  it("gives a stopped server up, and works when it goes on", async () => {
    await using server = await startRedis();
    const { lease, installation } = setup(server.url, IMPATIENT);
    await lease.acquire(installation, "w1/t", TTL_MS);
    server.pause();
    await expectUnavailable(
      lease.renew(installation, "w1/t", TTL_MS),
      /^renewing the lease at redis .* failed: no answer within 1000 ms$/,
    );
    await expectUnavailable(lease.ping(), /no connection within/);
    server.resume();
    await vi.waitFor(async () => {
      expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    }, 90_000);
  });

  it("can take back an acquire without an answer that took effect", async () => {
    await using server = await startRedis();
    const { lease, raw, installation, key } = setup(server.url, IMPATIENT);
    await lease.release(installation, "connects");
    server.pause();
    await expectUnavailable(lease.acquire(installation, "w1/t1", TTL_MS));
    server.resume();
    await vi.waitFor(async () => {
      expect(await raw.get(key)).toBe("w1/t1");
    }, 90_000);
    expect(await lease.release(installation, "w1/t1")).toBe(true);
    expect(await lease.acquire(installation, "w1/t2", TTL_MS)).toEqual({ kind: "acquired" });
  });

  it("leaves a server that became a read-only replica, and works when it is promoted", async () => {
    await using server = await startRedis();
    const { lease, raw, installation } = setup(server.url);
    await lease.acquire(installation, "w1/t", TTL_MS);
    const before = await connectionsOf(raw);
    await raw.replicaof("127.0.0.1", "1");
    await expectUnavailable(lease.renew(installation, "w1/t", TTL_MS), /READONLY/);
    await expectUnavailable(lease.acquire(installation, "w2/t", TTL_MS), /READONLY/);
    await raw.replicaof("NO", "ONE");
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    const after = await connectionsOf(raw);
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
  });

  it("takes a server that is loading its data for unavailable, until it has loaded", async () => {
    let loading = true;
    await using redis = await ScriptedRedis.start((command) =>
      loading ? "-LOADING Redis is loading the dataset in memory" : likeRedis(command),
    );
    const { lease, installation } = setup(redis.url);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /LOADING/);
    loading = false;
    expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
  });

  it("takes a server that forgets at once for unavailable, also in a ping, and says why", async () => {
    await using redis = await ScriptedRedis.start(forgetful);
    const { lease, installation } = setup(redis.url);
    const why =
      /^keeping the lease at redis .* failed: the key was gone as soon as it was set: set maxmemory-policy noeviction, and let REDIS_URL lead to the master itself$/;
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), why);
    await expectUnavailable(lease.ping(), why);
    expect(redis.commands.filter((command) => command.startsWith("set "))).toHaveLength(2);
  });

  const effects = [
    { name: "a server that refuses", answer: () => "-OOM command not allowed", without: true },
    { name: "a server that lets nobody in", answer: () => null, without: true },
    { name: "a SET without an answer", answer: silentOn("set "), without: false },
    { name: "a SET before something without an answer", answer: silentOn("eval "), without: false },
    {
      name: "a SET before something that is refused",
      answer: (command: string) => (command.startsWith("eval ") ? "-NOPERM no" : "+OK"),
      without: false,
    },
    { name: "a server that forgets at once", answer: forgetful, without: false },
  ];
  it.each(effects)("tells whether an acquire may have taken effect: $name", async (one) => {
    await using redis = await ScriptedRedis.start(one.answer);
    const { lease, installation } = setup(redis.url, IMPATIENT);
    const error = await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS));
    expect(error.withoutEffect).toBe(one.without);
  });

  it("gives up a server that accepts connections and says nothing", async () => {
    await using redis = await ScriptedRedis.start(() => null);
    const { lease, installation } = setup(redis.url, IMPATIENT);
    const refused = /^releasing the lease at redis 127\.0\.0\.1:\d+ failed: no connection within/;
    await expectUnavailable(lease.release(installation, "w1/t"), refused);
    await expectUnavailable(lease.release(installation, "w1/t"), refused);
    await vi.waitFor(() => expect(redis.endings).toHaveLength(2), 90_000);
    expect(redis.connections).toBe(2);
  });

  it("resets a connection that fell silent, so that nothing is delivered later", async () => {
    await using redis = await ScriptedRedis.start((command) =>
      command.startsWith("set ") ? null : "+OK",
    );
    const { lease, installation } = setup(redis.url, IMPATIENT);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /no answer within/);
    await vi.waitFor(() => expect(redis.endings).toEqual(["reset"]), 90_000);
  });

  it("keeps the fresh connection when the end of the dropped one becomes known", async () => {
    await using redis = await ScriptedRedis.start((command) =>
      command.startsWith("set ") ? null : likeRedis(command),
    );
    const { lease, installation } = setup(redis.url, IMPATIENT);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /no answer within/);
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    await vi.waitFor(() => expect(redis.endings).toHaveLength(1), 90_000);
    expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
    expect(redis.connections).toBe(2);
  });

  it("takes an answer that is not Redis for unavailable", async () => {
    await using redis = await ScriptedRedis.start(() => "HTTP/1.1 400 Bad Request");
    const { lease, installation } = setup(redis.url);
    await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /Unknown RESP type/);
  });

  it("counts an answer that waited in the socket while the event loop was blocked", async () => {
    const { lease, installation } = setup(redisUrl(), IMPATIENT);
    await lease.acquire(installation, "w1/t", TTL_MS);
    const renewed = lease.renew(installation, "w1/t", TTL_MS);
    for (let turn = 0; turn < 20; turn += 1) await null;
    blockEventLoop(IMPATIENT.commandTimeoutMs + 100);
    expect(await renewed).toBe(true);
  });
});

function silentOn(start: string) {
  return (command: string) => (command.startsWith(start) ? null : likeRedis(command));
}

function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
