import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { RedisConnectionOptions } from "../../../src/io/redis/connection.ts";
import { RedisLease } from "../../../src/io/redis/lease.ts";
import { LeaseUnavailableError } from "../../../src/watchdog/ports.ts";
import { redisUrl, startRedis } from "../../support/redis.ts";
import { ScriptedRedis } from "../../support/scripted-redis.ts";
import { describeLease } from "../lease-conformance.ts";

const TTL_MS = 60_000;
const NEVER_MS = 600_000;
const BOUNDS = { commandTimeoutMs: 300, connectTimeoutMs: 600 };
const PATIENT = { commandTimeoutMs: 10_000, connectTimeoutMs: 10_000 };

describeLease("Redis", async () => {
  const url = redisUrl();
  const lease = new RedisLease({ ...optionsFor(url), ...PATIENT });
  const second = new RedisLease({ ...optionsFor(url), ...PATIENT });
  const installation = randomUUID();
  const other = randomUUID();
  const raw = new Redis(url);
  const keys = [keyOf(installation), keyOf(other)];
  return {
    lease,
    second,
    installation,
    elsewhere: { lease: second, installation: other },
    forget: async () => {
      await raw.del(keyOf(installation));
    },
    [Symbol.asyncDispose]: async () => {
      await raw.del(...keys);
      await Promise.all([lease.close(), second.close(), raw.quit()]);
    },
  };
});

describe("RedisLease", () => {
  it("keeps the value under the installation's key, with the time to live", async () => {
    const { lease, raw, installation } = setup(redisUrl());
    await lease.acquire(installation, "w1/t", TTL_MS);
    expect(await raw.get(keyOf(installation))).toBe("w1/t");
    expect(await raw.pttl(keyOf(installation))).toBeGreaterThan(0);
  });

  it("says null for a key that never expires", async () => {
    const { lease, raw, installation } = setup(redisUrl());
    await raw.set(keyOf(installation), "by-hand");
    const answer = await lease.acquire(installation, "w1/t", TTL_MS);
    expect(answer).toEqual({ kind: "held", value: "by-hand", expiresInMs: null });
  });

  it("says 0 when the key vanished after the refusal", async () => {
    await using redis = await ScriptedRedis.start((command) => {
      if (command.startsWith("set ")) return "$-1";
      return command.startsWith("eval ") ? "*2\r\n$-1\r\n:-2" : "+OK";
    });
    const { lease, installation } = setup(redis.url);
    const answer = await lease.acquire(installation, "w1/t", TTL_MS);
    expect(answer).toEqual({ kind: "held", value: null, expiresInMs: 0 });
  });

  it("uses one connection, named run-watchdog, for calls that begin at once", async () => {
    await using server = await startRedis();
    const { lease, raw, installation } = setup(server.url);
    await Promise.all([
      lease.acquire(installation, "w1/t", TTL_MS),
      lease.renew(installation, "w1/t", TTL_MS),
      lease.release(installation, "w2/t"),
    ]);
    expect(await connectionsOf(raw)).toHaveLength(1);
  });

  it("sends nothing but its name and its own commands, and takes its leave", async () => {
    await using redis = await ScriptedRedis.start(() => "+OK");
    const { lease, installation } = setup(redis.url);
    await lease.acquire(installation, "w1/t", TTL_MS);
    await lease.close();
    expect(redis.commands).toEqual([
      "client setname run-watchdog",
      `set ${keyOf(installation)} w1/t px 60000 nx`,
      "quit",
    ]);
    await vi.waitFor(() => expect(redis.endings).toEqual(["closed"]));
  });

  it("uses the user, the password and the database it is given", async () => {
    await using server = await startRedis();
    const { raw, installation } = setup(server.url);
    await raw.call("acl", "setuser", "watch/dog", "on", ">p@ss:w%rd", "~*", "+@all");
    const { lease } = setup(server.url, {
      user: "watch/dog",
      password: "p@ss:w%rd",
      database: 3,
    });
    await lease.acquire(installation, "w1/t", TTL_MS);
    expect(await raw.client("LIST")).toContain(" user=watch/dog ");
    await raw.select(3);
    expect(await raw.get(keyOf(installation))).toBe("w1/t");
  });

  it("speaks TLS when told to", async () => {
    await using redis = await ScriptedRedis.start(() => null);
    const { lease, installation } = setup(redis.url, { tls: true });
    await expectUnavailable(lease.release(installation, "w1/t"));
    const handshake = 0x16;
    expect(redis.firstByte).toBe(handshake);
  });

  describe("when Redis is in trouble", () => {
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
      await vi.waitFor(() =>
        expect(log.debug).toHaveBeenCalledExactlyOnceWith(
          { host: server.host, port: server.port, err: expect.any(Error) },
          "connection to redis dropped",
        ),
      );
      expect(await lease.acquire(installation, "w2/t", TTL_MS)).toEqual({ kind: "acquired" });
    });

    it("names the first reason when a server crashes while a call is under way", async () => {
      await using server = await startRedis();
      const { lease, installation } = setup(server.url, { commandTimeoutMs: NEVER_MS });
      await lease.acquire(installation, "w1/t", TTL_MS);
      server.pause();
      const renewed = expectUnavailable(lease.renew(installation, "w1/t", TTL_MS), /ECONNRESET/);
      await new Promise(setImmediate);
      await server.kill();
      await renewed;
    });

    it("gives a stopped server up, and works when it goes on", async () => {
      await using server = await startRedis();
      const { lease, installation } = setup(server.url);
      await lease.acquire(installation, "w1/t", TTL_MS);
      server.pause();
      await expectUnavailable(
        lease.renew(installation, "w1/t", TTL_MS),
        /^renewing the lease at redis .* failed: no answer within 300 ms$/,
      );
      await expectUnavailable(lease.ping(), /no connection within/);
      server.resume();
      await vi.waitFor(async () => {
        expect(await lease.renew(installation, "w1/t", TTL_MS)).toBe(true);
      }, 20_000);
    });

    it("can take back an acquire without an answer that took effect", async () => {
      await using server = await startRedis();
      const { lease, raw, installation } = setup(server.url);
      await lease.release(installation, "connects");
      server.pause();
      await expectUnavailable(lease.acquire(installation, "w1/t1", TTL_MS));
      server.resume();
      await vi.waitFor(async () => {
        expect(await raw.get(keyOf(installation))).toBe("w1/t1");
      }, 20_000);
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
      await using redis = await ScriptedRedis.start(() =>
        loading ? "-LOADING Redis is loading the dataset in memory" : "+OK",
      );
      const { lease, installation } = setup(redis.url);
      await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /LOADING/);
      loading = false;
      expect(await lease.acquire(installation, "w1/t", TTL_MS)).toEqual({ kind: "acquired" });
    });

    it("gives up a server that accepts connections and says nothing", async () => {
      await using redis = await ScriptedRedis.start(() => null);
      const { lease, installation } = setup(redis.url);
      const refused = /^releasing the lease at redis 127\.0\.0\.1:\d+ failed: no connection within/;
      await expectUnavailable(lease.release(installation, "w1/t"), refused);
      await expectUnavailable(lease.release(installation, "w1/t"), refused);
      await vi.waitFor(() => expect(redis.endings).toHaveLength(2));
      expect(redis.connections).toBe(2);
    });

    it("resets a connection that fell silent, so that nothing is delivered later", async () => {
      await using redis = await ScriptedRedis.start((command) =>
        command.startsWith("set ") ? null : "+OK",
      );
      const { lease, installation } = setup(redis.url);
      await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /no answer within/);
      await vi.waitFor(() => expect(redis.endings).toEqual(["reset"]));
    });

    it("keeps the fresh connection when the end of the dropped one becomes known", async () => {
      await using redis = await ScriptedRedis.start((command) =>
        command.startsWith("set ") ? null : "+OK",
      );
      const { lease, installation } = setup(redis.url);
      await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /no answer within/);
      await lease.ping();
      await vi.waitFor(() => expect(redis.endings).toHaveLength(1));
      await lease.ping();
      expect(redis.connections).toBe(2);
    });

    it("takes an answer that is not Redis for unavailable", async () => {
      await using redis = await ScriptedRedis.start(() => "HTTP/1.1 400 Bad Request");
      const { lease, installation } = setup(redis.url);
      await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /Unknown RESP type/);
    });

    it("counts an answer that waited in the socket while the event loop was blocked", async () => {
      const { lease, installation } = setup(redisUrl());
      await lease.acquire(installation, "w1/t", TTL_MS);
      const renewed = lease.renew(installation, "w1/t", TTL_MS);
      for (let turn = 0; turn < 20; turn += 1) await null;
      blockEventLoop(BOUNDS.commandTimeoutMs + 100);
      expect(await renewed).toBe(true);
    });

    it("does not go on with another database when its own is refused", async () => {
      await using server = await startRedis();
      const { raw, installation } = setup(server.url);
      const { lease } = setup(server.url, { database: 99 });
      await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /DB index/);
      expect(await raw.exists(keyOf(installation))).toBe(0);
    });

    it("shows no password when the server refuses it", async () => {
      await using server = await startRedis();
      const { raw, installation } = setup(server.url);
      await raw.config("SET", "requirepass", "right");
      const { lease } = setup(server.url, { password: "hunter2" });
      const error = await expectUnavailable(
        lease.acquire(installation, "w1/t", TTL_MS),
        /WRONGPASS/,
      );
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("hunter2");
    });

    it("shows no password when the server repeats it", async () => {
      await using redis = await ScriptedRedis.start((command) => `-ERR unknown: '${command}'`);
      const { lease, installation } = setup(redis.url, { password: "hunter2" });
      const error = await expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /auth/);
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("hunter2");
    });
  });

  describe("close", () => {
    it("ends the connection, and calls after it reject", async () => {
      await using server = await startRedis();
      const { lease, raw, installation } = setup(server.url);
      await lease.acquire(installation, "w1/t", TTL_MS);
      await lease.close();
      await vi.waitFor(async () => expect(await connectionsOf(raw)).toHaveLength(0), 20_000);
      await expectUnavailable(lease.renew(installation, "w1/t", TTL_MS), /closed by us/);
      expect(await connectionsOf(raw)).toHaveLength(0);
    });

    it("lets a call in flight end", async () => {
      const { lease, installation } = setup(redisUrl());
      await lease.acquire(installation, "w1/t", TTL_MS);
      const released = lease.release(installation, "w1/t");
      await lease.close();
      expect(await released).toBe(true);
    });

    it("settles although the server is stopped, and so do the calls it interrupts", async () => {
      await using server = await startRedis();
      const { lease, installation } = setup(server.url);
      await lease.acquire(installation, "w1/t", TTL_MS);
      server.pause();
      const renewed = expectUnavailable(lease.renew(installation, "w1/t", TTL_MS));
      await Promise.all([lease.close(), lease.close(), lease[Symbol.asyncDispose]()]);
      await renewed;
      server.resume();
    });

    it("settles while the connection is being opened", async () => {
      await using redis = await ScriptedRedis.start(() => null);
      const { lease, installation } = setup(redis.url, PATIENT);
      const acquired = expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /closed by/);
      await vi.waitFor(() => expect(redis.connections).toBe(1));
      await lease.close();
      await acquired;
    });

    it("settles when no call was ever made", async () => {
      await setup(redisUrl()).lease.close();
    });
  });
});

/** A lease under test and a plain client to look behind it; both are closed after the test. */
function setup(url: string, changes: Partial<RedisConnectionOptions> = {}) {
  const installation = randomUUID();
  const lease = new RedisLease({ ...optionsFor(url), ...BOUNDS, ...changes });
  const raw = new Redis(url, { lazyConnect: true });
  raw.on("error", () => undefined);
  onTestFinished(async () => {
    await lease.close();
    if (raw.status === "ready") await raw.del(keyOf(installation)).catch(() => undefined);
    raw.disconnect();
  });
  return { lease, raw, installation };
}

function optionsFor(text: string) {
  const url = new URL(text);
  return {
    host: url.hostname,
    port: Number(url.port || 6379),
    tls: url.protocol === "rediss:",
    user: url.username || null,
    password: url.password || null,
    database: Number(url.pathname.slice(1)),
  };
}

function keyOf(installation: string): string {
  return `watchdog:{${installation}}:lease`;
}

async function expectUnavailable(call: Promise<unknown>, message = /./): Promise<Error> {
  const error = await call.then(
    (value) => expect.unreachable(`settled with ${inspect(value)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof LeaseUnavailableError)) throw error;
  expect(error.message).toMatch(message);
  expect(error.cause).toBeInstanceOf(Error);
  return error;
}

/** The ids of the connections that call themselves run-watchdog. */
async function connectionsOf(raw: Redis): Promise<readonly string[]> {
  const list = String(await raw.client("LIST"));
  const own = list.split("\n").filter((line) => line.includes(" name=run-watchdog "));
  return own.map((line) => /^id=(\d+)/.exec(line)?.[1] ?? "?");
}

function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
