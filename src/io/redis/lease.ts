/**
 * The lease as a Redis key that expires by itself: `watchdog:{<installation>}:lease`, and `...:lease:<n>` for each shard
 * but the first.
 *
 * A user for the lease alone needs the keys `watchdog:*` and the commands SET, GET, PTTL, PEXPIRE and EVAL, besides
 * SELECT for a database other than 0: `ACL SETUSER watchdog on >secret ~watchdog:* +set +get +pttl +pexpire +eval`.
 * With TIME besides, differences of the clocks are shown.
 */
import { randomUUID } from "node:crypto";
import { type Redis, ReplyError } from "ioredis";
import type { ClockReading } from "../../rules/clock-skew.ts";
import { leaseKeyOf } from "../../rules/lease-key.ts";
import { LeaseUnavailableError } from "../../watchdog/errors.ts";
import type { AcquireAnswer, Lease } from "../../watchdog/ports.ts";
import { readTime } from "./clock.ts";
import { RedisConnection, type RedisConnectionOptions } from "./connection.ts";
import { FORGOTTEN } from "./remedy.ts";

const READ = `return {redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1])}`;

const RENEW = `
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])`;

// An expiry of 0 deletes the key. So releasing needs no other permission than renewing.
const RELEASE = `
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], 0)`;

// PTTL's answers for a key that does not exist and for a key that never expires.
const NO_KEY = -2;
const NO_EXPIRY = -1;

const PING_TTL_MS = 1000;

/** Some proxies close the connection on TIME, which costs the next call a new one. */
const CLOCK_AGAIN_AFTER_MS = 3_600_000;

/**
 * A connection of its own, opened by the first call and again after every failure. Every call settles within the
 * connect timeout and two command timeouts, a ping within five.
 *
 * A Redis that loses the key (restart without persistence, FLUSHALL, failover) hands out the lease a second time; this
 * is only an election, and Postgres fences the writes.
 */
export class RedisLease implements Lease, AsyncDisposable {
  readonly kind = "redis";
  readonly #connection: RedisConnection;
  readonly #shard: number;
  #clockAgainAtMs = 0;

  /** Does not connect. `options` is asked before every connection, unless there is one to share. */
  constructor(options: (() => RedisConnectionOptions) | RedisConnection, shard = 0) {
    this.#connection = options instanceof RedisConnection ? options : new RedisConnection(options);
    this.#shard = shard;
  }

  /** On the same connection. */
  ofShard(index: number): RedisLease {
    return new RedisLease(this.#connection, index);
  }

  /**
   * Acquires, reads and releases a lease under a name of its own. A replica, a full server or one that lacks a permission
   * also answers PING, and would look healthy until the next sweep.
   */
  async ping(): Promise<void> {
    const nobody = `ping-${randomUUID()}`;
    const value = "ping";
    await this.acquire(nobody, value, PING_TTL_MS);
    await this.acquire(nobody, value, PING_TTL_MS);
    await this.release(nobody, value);
  }

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const key = this.#keyOf(installation);
    const sentAtMs = performance.now();
    const reply = await this.#connection.run("acquiring the lease", (redis) =>
      redis.set(key, value, "PX", ttlMs, "NX"),
    );
    if (reply === "OK") {
      const ranOut = () => performance.now() - sentAtMs >= ttlMs;
      if (await this.#keep(key, value, ttlMs, ranOut)) return { kind: "acquired" };
      return { kind: "held", value: null, expiresInMs: 0 };
    }
    const state = await this.#connection.run("reading the lease", (redis) =>
      redis.eval(READ, 1, key),
    );
    return heldBy(state);
  }

  /** Renews at once: a missing permission for it shows now, not in the middle of a sweep. */
  async #keep(key: string, value: string, ttlMs: number, ranOut: () => boolean): Promise<boolean> {
    try {
      return await this.#connection.run("keeping the lease", async (redis) => {
        if ((await redis.eval(RENEW, 1, key, value, ttlMs)) === 1) return true;
        if (ranOut()) return false;
        throw new Error(FORGOTTEN);
      });
    } catch (error) {
      if (!(error instanceof LeaseUnavailableError)) throw error;
      // Whatever became of this command, the one before it has set the key.
      throw new LeaseUnavailableError(error.message, { cause: error });
    }
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    const reply = await this.#connection.run("renewing the lease", (redis) =>
      redis.eval(RENEW, 1, this.#keyOf(installation), value, ttlMs),
    );
    return reply === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const reply = await this.#connection.run("releasing the lease", (redis) =>
      redis.eval(RELEASE, 1, this.#keyOf(installation), value),
    );
    return reply === 1;
  }

  async clock(): Promise<ClockReading | null> {
    if (performance.now() < this.#clockAgainAtMs) return null;
    const reading = await this.#connection.run("reading the clock", timeOrNull).catch(() => null);
    if (reading === null) this.#clockAgainAtMs = performance.now() + CLOCK_AGAIN_AFTER_MS;
    return reading;
  }

  #keyOf(installation: string): string {
    return leaseKeyOf(installation, this.#shard);
  }

  /** Never rejects and never hangs. Calls after it reject. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }
}

/** A refusal is an answer: the connection stays. */
async function timeOrNull(redis: Redis): Promise<ClockReading | null> {
  try {
    return await readTime(redis, Date.now);
  } catch (error) {
    if (error instanceof ReplyError) return null;
    throw error;
  }
}

function heldBy(state: unknown): AcquireAnswer {
  const [value, pttl]: readonly unknown[] = Array.isArray(state) ? state : [];
  const expiresInMs = pttl === NO_KEY ? 0 : pttl === NO_EXPIRY ? null : Number(pttl);
  return { kind: "held", value: typeof value === "string" ? value : null, expiresInMs };
}
