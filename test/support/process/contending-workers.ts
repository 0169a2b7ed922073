/** Worker processes that contend for one lease: what they need, what they say, and how to hold them up. */
import { Redis } from "ioredis";
import { expect, vi } from "vitest";
import type { FakeHost } from "../../fake-host/fake-host.ts";
import { startRedis } from "../../services/redis/redis.ts";
import type { World } from "../world/world.ts";
import {
  type LogLine,
  type ProcessEnv,
  startWorker,
  type WorkerProcess,
} from "./worker-process.ts";

/** Starting processes and missing a tick of `twiceAMinute` take their time. */
export const PATIENCE = { timeout: 300_000 };

/** A question may be held back for as long as a test likes. */
const PATIENT = { WATCHDOG_VERIFY_TIMEOUT: "5m", LOG_LEVEL: "debug" };

export const EVERY_SECOND = { WATCHDOG_SCHEDULE: "* * * * * *", ...PATIENT };

/** A dead holder's lease is free after three seconds. */
export const SHORT_LEASE = {
  WATCHDOG_LEASE_TTL: "3s",
  WATCHDOG_LEASE_RENEW: "1s",
  WATCHDOG_LEASE_MARGIN: "500ms",
};

/** Neither runs out nor is renewed while a test lasts. */
export const LONG_LEASE = { WATCHDOG_LEASE_TTL: "10m", WATCHDOG_LEASE_RENEW: "4m" };

/** One tick soon, when a process has had the time to start, and the next one half a minute after it. */
export function twiceAMinute(): typeof EVERY_SECOND {
  const first = new Date(Date.now() + 4000).getUTCSeconds();
  return { WATCHDOG_SCHEDULE: `${first},${(first + 30) % 60} * * * * *`, ...PATIENT };
}

export interface Pair extends AsyncDisposable {
  readonly both: readonly [WorkerProcess, WorkerProcess];
  /** Settles when one of them sweeps and the other one stands by. */
  roles(): Promise<{ readonly sweeping: WorkerProcess; readonly standby: WorkerProcess }>;
}

/** Two workers with the same settings. */
export async function startPair(env: ProcessEnv): Promise<Pair> {
  await using resources = new AsyncDisposableStack();
  const starting = [startWorker(env), startWorker(env)] as const;
  for (const worker of starting) {
    resources.defer(async () => (await worker.catch(() => null))?.[Symbol.asyncDispose]());
  }
  const both = await Promise.all(starting);
  const opened = resources.move();
  return {
    both,
    roles: () =>
      vi.waitFor(
        async () => {
          const roles = (await Promise.all(both.map(healthOf))).map(({ role }) => role);
          expect([...roles].sort()).toEqual(["standby", "sweeping"]);
          const [a, b] = both;
          return roles[0] === "sweeping"
            ? { sweeping: a, standby: b }
            : { sweeping: b, standby: a };
        },
        { timeout: 90_000, interval: 100 },
      ),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const EXPIRY = { timeout: 90_000, interval: 50 };

export interface LeaseStore extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  /** The lease is free, whatever its holder believes. */
  forget(): Promise<void>;
  /** Settles when the lease is free because it ran out. */
  expired(): Promise<void>;
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
    async expired() {
      const key = await leaseKey(world);
      await withRedis(server.url, (redis) =>
        vi.waitFor(async () => expect(await redis.exists(key)).toBe(0), EXPIRY),
      );
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
    async expired() {
      await vi.waitFor(async () => {
        const [row] = await database.sql`
          SELECT lease_expires_at > now() AS held FROM watchdog.leadership`;
        expect(row).toEqual({ held: false });
      }, EXPIRY);
    },
    async [Symbol.asyncDispose]() {},
  };
}

export async function leaseKey({ database }: World): Promise<string> {
  const [row] = await database.sql`SELECT installation FROM watchdog.leadership`;
  return `watchdog:{${row?.["installation"]}}:lease`;
}

export async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  // A server that loads its data is talked to as well.
  const redis = new Redis(url, { enableReadyCheck: false });
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

/** Settles when `/health` shows what is expected: it knows what the last tick has found. */
export async function healthBecomes(worker: WorkerProcess, expected: object): Promise<void> {
  await vi.waitFor(async () => expect(await healthOf(worker)).toMatchObject(expected), {
    timeout: 90_000,
    interval: 100,
  });
}

export async function statusOf(worker: WorkerProcess, path: string): Promise<number> {
  return (await fetch(`${await worker.healthUrl()}${path}`)).status;
}

/**
 * Settles when the worker that sweeps has said in the database that it moves on. With all its questions held back it does so
 * once; from then on it does not look whether there is a newer epoch.
 */
export async function hasReportedProgress({ database }: World): Promise<void> {
  await vi.waitFor(async () => {
    const [row] = await database.sql`
      SELECT progressed_at > sweep_started_at AS told FROM watchdog.leadership`;
    expect(row).toEqual({ told: true });
  }, EXPIRY);
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
