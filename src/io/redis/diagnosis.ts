import type { Fact } from "../../rules/doctor/check.ts";
import type { RedisFacts, RedisKey, RedisServerFacts } from "../../rules/doctor/redis.ts";
import { leaseKeyOf } from "../../rules/lease-key.ts";
import { LeaseUnavailableError } from "../../watchdog/errors.ts";
import { readTime } from "./clock.ts";
import { RedisConnection, type RedisConnectionOptions } from "./connection.ts";
import { RedisLease } from "./lease.ts";

/**
 * What can be learned of a Redis with the rights that its user has. The lease is tried as a worker tries it before it
 * calls itself ready: under a name that belongs to nobody and is gone within a second.
 *
 * @param installation whose lease to look at; `null` when it is not known.
 * @param nowMs our own wall clock.
 */
export async function diagnoseRedis(
  options: () => RedisConnectionOptions,
  installation: string | null,
  nowMs: () => number,
): Promise<RedisFacts> {
  await using lease = new RedisLease(options);
  const tried = await factOf(lease.ping());
  if (tried.kind === "unknown") return { kind: "unusable", why: tried.why };
  const connection = new RedisConnection(options);
  try {
    return {
      kind: "usable",
      key: installation === null ? null : await factOf(readKey(connection, installation)),
      clock: await factOf(connection.run("reading the clock", (redis) => readTime(redis, nowMs))),
      server: await factOf(readServer(connection)),
    };
  } finally {
    await connection.close();
  }
}

/** With the commands that the lease needs, so whoever may lead may ask. */
async function readKey(connection: RedisConnection, installation: string): Promise<RedisKey> {
  const key = leaseKeyOf(installation);
  // The first command also connects, which is no latency.
  const value = await connection.run("reading the lease", (redis) => redis.get(key));
  const sentMs = performance.now();
  const pttl = await connection.run("reading the lease", (redis) => redis.pttl(key));
  const latencyMs = performance.now() - sentMs;
  return { key, latencyMs, isHeld: value !== null, neverExpires: pttl === NO_EXPIRY };
}

const NO_EXPIRY = -1;

async function readServer(connection: RedisConnection): Promise<RedisServerFacts> {
  const info = await connection.run("reading INFO", (redis) => redis.info());
  const fields = new Map(
    info.split("\r\n").map((line) => {
      const [name = "", ...value] = line.split(":");
      return [name, value.join(":")] as const;
    }),
  );
  return {
    version: fields.get("redis_version") ?? "of unknown version",
    role: fields.get("role") ?? "unknown",
    // Absent where a managed service hides them.
    maxMemoryBytes: numberOrNull(fields.get("maxmemory")),
    evictionPolicy: fields.get("maxmemory_policy") ?? null,
  };
}

function numberOrNull(text: string | undefined): number | null {
  return text === undefined || text === "" ? null : Number(text);
}

async function factOf<T>(asking: Promise<T>): Promise<Fact<T>> {
  try {
    return { kind: "known", value: await asking };
  } catch (error) {
    if (!(error instanceof LeaseUnavailableError)) throw error;
    return { kind: "unknown", why: error.message };
  }
}
