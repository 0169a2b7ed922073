import { randomUUID } from "node:crypto";
import { Redis } from "ioredis";
import { describe, expect, it, vi } from "vitest";
import { RedisLease } from "../../../src/io/redis/lease.ts";
import { leaseKeyOf } from "../../../src/rules/lease-key.ts";
import { describeLease, type LeaseStand } from "../../conformance/lease.ts";
import { redisUrl, startRedis } from "../../services/redis/redis.ts";
import { forgetful, likeRedis, ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import {
  connectionsOf,
  expectUnavailable,
  IMPATIENT,
  optionsFor,
  PATIENT,
  setup,
  TTL_MS,
} from "./stand.ts";

describeLease("Redis", () => openStand(0));
describeLease("Redis, of shard 3", () => openStand(3));

async function openStand(shard: number): Promise<LeaseStand> {
  const url = redisUrl();
  const lease = new RedisLease(() => ({ ...optionsFor(url), ...PATIENT }));
  const second = new RedisLease(() => ({ ...optionsFor(url), ...PATIENT }));
  const installation = randomUUID();
  const other = randomUUID();
  const raw = new Redis(url);
  const keys = [installation, other].flatMap((each) =>
    [0, 1, 2, 3, 4, 5].map((index) => leaseKeyOf(each, index)),
  );
  return {
    lease: lease.ofShard(shard),
    second: second.ofShard(shard),
    installation,
    elsewhere: { lease: second.ofShard(shard), installation: other },
    forget: async () => {
      await raw.del(leaseKeyOf(installation, shard));
    },
    [Symbol.asyncDispose]: async () => {
      await raw.del(...keys);
      await Promise.all([lease[Symbol.asyncDispose](), second[Symbol.asyncDispose](), raw.quit()]);
    },
  };
}

describe("RedisLease", () => {
  it("keeps the value under the installation's key, with the time to live", async () => {
    const { lease, raw, installation, key } = setup(redisUrl());
    await lease.acquire(installation, "w1/t", TTL_MS);
    expect(await raw.get(key)).toBe("w1/t");
    expect(await raw.pttl(key)).toBeGreaterThan(0);
  });

  it("says null for a key that never expires", async () => {
    const { lease, raw, installation, key } = setup(redisUrl());
    await raw.set(key, "by-hand");
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

  it("says 0 when what it has set ran out before it could keep it", async () => {
    await using redis = await ScriptedRedis.start(forgetful);
    const { lease, installation } = setup(redis.url);
    const answer = await lease.acquire(installation, "w1/t", 0);
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
    await using redis = await ScriptedRedis.start(likeRedis);
    const { lease, installation, key } = setup(redis.url);
    await lease.acquire(installation, "w1/t", TTL_MS);
    await lease[Symbol.asyncDispose]();
    expect(redis.commands).toEqual([
      "client setname run-watchdog",
      `set ${key} w1/t px 60000 nx`,
      expect.stringMatching(/^eval .*pexpire/s),
      "quit",
    ]);
    await vi.waitFor(() => expect(redis.endings).toEqual(["closed"]), 90_000);
  });

  it("uses the user, the password and the database it is given", async () => {
    await using server = await startRedis();
    const { raw, installation, key } = setup(server.url);
    await raw.call("acl", "setuser", "watch/dog", "on", ">p@ss:w%rd", "~*", "+@all");
    const { lease } = setup(server.url, {
      user: "watch/dog",
      password: "p@ss:w%rd",
      database: 3,
    });
    await lease.acquire(installation, "w1/t", TTL_MS);
    expect(await raw.client("LIST")).toContain(" user=watch/dog ");
    await raw.select(3);
    expect(await raw.get(key)).toBe("w1/t");
  });

  it("speaks TLS when told to", async () => {
    await using redis = await ScriptedRedis.start(() => null);
    const { lease, installation } = setup(redis.url, { ...IMPATIENT, tls: true });
    await expectUnavailable(lease.release(installation, "w1/t"));
    const handshake = 0x16;
    expect(redis.firstByte).toBe(handshake);
  });

  describe("close", () => {
    it("ends the connection, and calls after it reject", async () => {
      await using server = await startRedis();
      const { lease, raw, installation } = setup(server.url);
      await lease.acquire(installation, "w1/t", TTL_MS);
      await lease[Symbol.asyncDispose]();
      await vi.waitFor(async () => expect(await connectionsOf(raw)).toHaveLength(0), 90_000);
      await expectUnavailable(lease.renew(installation, "w1/t", TTL_MS), /closed by us/);
      expect(await connectionsOf(raw)).toHaveLength(0);
    });

    it("lets a call in flight end", async () => {
      const { lease, installation } = setup(redisUrl());
      await lease.acquire(installation, "w1/t", TTL_MS);
      const released = lease.release(installation, "w1/t");
      await lease[Symbol.asyncDispose]();
      expect(await released).toBe(true);
    });

    it("settles although the server is stopped, and so do the calls it interrupts", async () => {
      await using server = await startRedis();
      const { lease, installation } = setup(server.url);
      await lease.acquire(installation, "w1/t", TTL_MS);
      server.pause();
      const renewed = expectUnavailable(lease.renew(installation, "w1/t", TTL_MS));
      await Promise.all([
        lease[Symbol.asyncDispose](),
        lease[Symbol.asyncDispose](),
        lease[Symbol.asyncDispose](),
      ]);
      await renewed;
      server.resume();
    });

    it("settles while the connection is being opened", async () => {
      await using redis = await ScriptedRedis.start(() => null);
      const { lease, installation } = setup(redis.url);
      const acquired = expectUnavailable(lease.acquire(installation, "w1/t", TTL_MS), /closed by/);
      await vi.waitFor(() => expect(redis.connections).toBe(1), 90_000);
      await lease[Symbol.asyncDispose]();
      await acquired;
    });

    it("settles when no call was ever made", async () => {
      await setup(redisUrl()).lease[Symbol.asyncDispose]();
    });
  });
});
