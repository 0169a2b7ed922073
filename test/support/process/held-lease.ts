/** Another worker's lease, put into the stores as that worker would. */
import { Redis } from "ioredis";
import type { Sql } from "postgres";

export const OTHER_HOLDER = "other-host/17/beef";
const VALUE = `${OTHER_HOLDER}/token`;
const FOR_MS = 120_000;

export async function holdPostgresLease(sql: Sql): Promise<void> {
  await sql`
    UPDATE watchdog.leadership
    SET holder = ${VALUE}, lease_kind = 'postgres',
        lease_expires_at = now() + ${FOR_MS} * interval '1 millisecond'`;
}

export async function releasePostgresLease(sql: Sql): Promise<void> {
  await sql`UPDATE watchdog.leadership SET lease_expires_at = NULL WHERE holder = ${VALUE}`;
}

/** @param expires false: the key stays for ever. */
export async function holdRedisLease(url: string, sql: Sql, expires = true): Promise<void> {
  const key = await redisLeaseKey(sql);
  await withRedis(url, (redis) =>
    expires ? redis.set(key, VALUE, "PX", FOR_MS) : redis.set(key, VALUE),
  );
}

export async function releaseRedisLease(url: string, sql: Sql): Promise<void> {
  const key = await redisLeaseKey(sql);
  await withRedis(url, (redis) => redis.del(key));
}

async function redisLeaseKey(sql: Sql): Promise<string> {
  const [row] = await sql<{ readonly installation: string }[]>`
    SELECT installation FROM watchdog.leadership`;
  return `watchdog:{${row?.installation}}:lease`;
}

async function withRedis(url: string, work: (redis: Redis) => Promise<unknown>): Promise<void> {
  const redis = new Redis(url);
  try {
    await work(redis);
  } finally {
    redis.disconnect();
  }
}
