/** Worker processes that contend for one lease: what they need, what they say, and how to hold them up. */
import { Redis } from "ioredis";
import { expect, vi } from "vitest";
import type { FakeHost } from "../../src/demo/fake-host.ts";
import { startRedis } from "../support/redis.ts";
import type { LogLine, WorkerProcess } from "../support/worker-process.ts";
import type { World } from "../support/world.ts";

/** Starting a process and missing a tick of `onceAMinute` both take their time. */
export const PATIENCE = { timeout: 150_000 };

export const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *", LOG_LEVEL: "debug" };

/** A dead holder's lease is free after three seconds. */
export const SHORT_LEASE = {
  WATCHDOG_LEASE_TTL: "3s",
  WATCHDOG_LEASE_RENEW: "1s",
  WATCHDOG_LEASE_MARGIN: "500ms",
};

/** Neither runs out nor is renewed while a test lasts. */
export const LONG_LEASE = { WATCHDOG_LEASE_TTL: "10m", WATCHDOG_LEASE_RENEW: "4m" };

/** One tick soon, when a process has had the time to start, and the next one a minute after it. */
export function onceAMinute(): typeof EVERY_SECOND {
  const second = new Date(Date.now() + 4000).getUTCSeconds();
  return { WATCHDOG_SCHEDULE: `${second} * * * * *`, LOG_LEVEL: "debug" };
}

export interface LeaseStore extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  /** The lease is free, whatever its holder believes. */
  forget(): Promise<void>;
}

export const LEASE_STORES = [
  { name: "Redis", open: openRedisStore },
  { name: "Postgres", open: openPostgresStore },
] as const;

async function openRedisStore(world: World): Promise<LeaseStore> {
  const server = await startRedis();
  return {
    env: { REDIS_URL: server.url },
    async forget() {
      const key = await leaseKey(world);
      await withRedis(server.url, (redis) => redis.del(key));
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function openPostgresStore({ database }: World): Promise<LeaseStore> {
  return {
    env: {},
    async forget() {
      await database.sql`UPDATE watchdog.leadership SET lease_expires_at = NULL`;
    },
    async [Symbol.asyncDispose]() {},
  };
}

export async function leaseKey({ database }: World): Promise<string> {
  const [row] = await database.sql`SELECT installation FROM watchdog.leadership`;
  return `watchdog:{${row?.["installation"]}}:lease`;
}

export async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

/** What `/health` says, as far as the tests look at it. */
export interface HealthBody {
  readonly status: string;
  readonly reasons: readonly string[];
  readonly role: string;
  readonly holder: string;
  readonly lease: {
    readonly kind: string;
    readonly holder: string | null;
    readonly expiresAt: string | null;
  };
  readonly sweep: { readonly nextAt: string };
}

export async function healthOf(worker: WorkerProcess): Promise<HealthBody> {
  const response = await fetch(`${await worker.healthUrl()}/health`);
  const body: HealthBody = JSON.parse(await response.text());
  return body;
}

export async function statusOf(worker: WorkerProcess, path: string): Promise<number> {
  return (await fetch(`${await worker.healthUrl()}${path}`)).status;
}

export interface Pair {
  readonly sweeping: WorkerProcess;
  readonly standby: WorkerProcess;
}

/** Settles when one of them sweeps and the other one stands by. */
export function rolesOf(workers: readonly [WorkerProcess, WorkerProcess]): Promise<Pair> {
  const [a, b] = workers;
  return vi.waitFor(
    async () => {
      const roles = (await Promise.all(workers.map(healthOf))).map(({ role }) => role);
      expect([...roles].sort()).toEqual(["standby", "sweeping"]);
      return roles[0] === "sweeping" ? { sweeping: a, standby: b } : { sweeping: b, standby: a };
    },
    { timeout: 90_000, interval: 100 },
  );
}

/** The log line of a sweep's report. */
export function reported(fields: Readonly<Record<string, unknown>>) {
  return (line: LogLine) =>
    line.msg === "sweep finished" &&
    Object.entries(fields).every(([name, value]) => line[name] === value);
}

/**
 * Holds lookups back in the order in which they arrive: the first `sizes[0]` until the first returned function is
 * called, the next `sizes[1]` until the second one is, and so on. The rest passes.
 */
export function gates(host: FakeHost, ...sizes: readonly number[]): readonly (() => void)[] {
  const all = sizes.map(() => Promise.withResolvers<void>());
  const queue = all.flatMap(({ promise }, index) =>
    Array.from({ length: sizes[index] ?? 0 }, () => promise),
  );
  host.intercept(async ({ kind }) => {
    if (kind === "lookup") await queue.shift();
    return undefined;
  });
  return all.map(
    ({ resolve }) =>
      () =>
        resolve(),
  );
}
