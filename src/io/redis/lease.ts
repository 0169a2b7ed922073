/** The lease as a Redis key that expires by itself: `watchdog:{<installation>}:lease`. */
import type { AcquireAnswer, Lease } from "../../watchdog/ports.ts";
import { RedisConnection, type RedisConnectionOptions } from "./connection.ts";

const READ = `return {redis.call('get', KEYS[1]), redis.call('pttl', KEYS[1])}`;

const RENEW = `
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('pexpire', KEYS[1], ARGV[2])`;

const RELEASE = `
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])`;

// PTTL's answers for a key that does not exist and for a key that never expires.
const NO_KEY = -2;
const NO_EXPIRY = -1;

/**
 * A connection of its own, opened by the first call and again after every failure. Every call settles within the
 * connect timeout and two command timeouts.
 *
 * A Redis that loses the key (restart without persistence, FLUSHALL, failover) hands out the lease a second time; this
 * is only an election, and Postgres fences the writes.
 */
export class RedisLease implements Lease, AsyncDisposable {
  readonly kind = "redis";
  readonly #connection: RedisConnection;

  /** Does not connect. */
  constructor(options: RedisConnectionOptions) {
    this.#connection = new RedisConnection(options);
  }

  async ping(): Promise<void> {
    await this.#connection.run("asking for a sign of life", (redis) => redis.ping());
  }

  async acquire(installation: string, value: string, ttlMs: number): Promise<AcquireAnswer> {
    const key = keyOf(installation);
    const reply = await this.#connection.run("acquiring the lease", (redis) =>
      redis.set(key, value, "PX", ttlMs, "NX"),
    );
    if (reply === "OK") return { kind: "acquired" };
    const state = await this.#connection.run("reading the lease", (redis) =>
      redis.eval(READ, 1, key),
    );
    return heldBy(state);
  }

  async renew(installation: string, value: string, ttlMs: number): Promise<boolean> {
    const reply = await this.#connection.run("renewing the lease", (redis) =>
      redis.eval(RENEW, 1, keyOf(installation), value, ttlMs),
    );
    return reply === 1;
  }

  async release(installation: string, value: string): Promise<boolean> {
    const reply = await this.#connection.run("releasing the lease", (redis) =>
      redis.eval(RELEASE, 1, keyOf(installation), value),
    );
    return reply === 1;
  }

  /** Never rejects and never hangs. Calls after it reject. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The braces keep the key in one slot, whatever is added beside it. */
function keyOf(installation: string): string {
  return `watchdog:{${installation}}:lease`;
}

function heldBy(state: unknown): AcquireAnswer {
  const [value, pttl]: readonly unknown[] = Array.isArray(state) ? state : [];
  const expiresInMs = pttl === NO_KEY ? 0 : pttl === NO_EXPIRY ? null : Number(pttl);
  return { kind: "held", value: typeof value === "string" ? value : null, expiresInMs };
}
