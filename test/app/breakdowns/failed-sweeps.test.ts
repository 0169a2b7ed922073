/** What an operator reads when a sweep had begun and could not go on, each time that it happens. */
import type { Sql } from "postgres";
import { describe, expect, it } from "vitest";
import { redisUrl } from "../../services/redis/redis.ts";
import { startTcpProxy } from "../../services/tcp-proxy.ts";
import {
  type Env,
  type Names,
  type Result,
  toldByOnce,
  toldToGithub,
} from "../../support/breakdowns/told.ts";
import { releaseRedisLease } from "../../support/process/held-lease.ts";
import { createWorld, type World } from "../../support/world/world.ts";

interface FailedSweep {
  readonly name: string;
  readonly prepare: (world: World, resources: AsyncDisposableStack) => Promise<Prepared>;
  readonly says: Result;
  /** Left out where it is the lease that breaks: it takes none. */
  readonly dryRun?: Result;
  /** The run is named: no page is read at the same time, which might fail first. */
  readonly named?: true;
}

interface Prepared {
  readonly env?: Env;
  readonly names?: Names;
  /** While the backend is asked. */
  readonly breaks: () => PromiseLike<unknown>;
  /** After each sweep. */
  readonly mends?: () => PromiseLike<unknown>;
  /** The question stays open until it is aborted. */
  readonly unanswered?: true;
}

/** A loss is noticed within two seconds. Renewed more often, a command would have less time than it may need. */
const QUICK_LEASE = {
  WATCHDOG_LEASE_TTL: "8s",
  WATCHDOG_LEASE_RENEW: "2s",
  WATCHDOG_LEASE_MARGIN: "1s",
};
const ANSWERED: Result = [3, "1 x sandbox_api get_sandbox: HTTP 503, look into its own log"];
const NOT_OURS = "the store does not hold the lease under our name any more";
const REFUSED =
  "connecting to 127.0.0.1:<port> failed: ECONNREFUSED: check that Postgres runs there, and host and port in DATABASE_URL or AUTOMATION_DB_*";
const PAUSED = "paused until <time> by ann: moving (run-watchdog resume ends it)";

const FAILED: readonly FailedSweep[] = [
  {
    name: "a newer epoch is handed out",
    prepare: async ({ database: { sql } }) => ({
      breaks: () => sql`UPDATE watchdog.leadership SET epoch = epoch + 1`,
    }),
    says: [1, "a newer epoch was handed out"],
    dryRun: ANSWERED,
  },
  {
    name: "somebody takes the lease in Postgres",
    prepare: async ({ database: { sql } }) => ({
      env: QUICK_LEASE,
      breaks: () => sql`UPDATE watchdog.leadership SET holder = 'other/1/beef/token'`,
      mends: () => freeLease(sql),
      unanswered: true,
    }),
    says: [1, NOT_OURS],
  },
  {
    name: "Redis forgets the lease",
    prepare: async ({ database: { sql } }) => ({
      env: { ...QUICK_LEASE, REDIS_URL: redisUrl() },
      breaks: () => releaseRedisLease(redisUrl(), sql),
      unanswered: true,
    }),
    says: [1, NOT_OURS],
  },
  {
    name: "Redis goes away",
    prepare: async ({ database: { sql } }, resources) => {
      const { hostname: host, port } = new URL(redisUrl());
      const proxy = resources.use(await startTcpProxy({ host, port: Number(port) }));
      return {
        env: { ...QUICK_LEASE, REDIS_URL: proxy.url(redisUrl()) },
        names: { [`:${proxy.port}`]: ":<port>" },
        breaks: () => proxy.refuse(),
        // It could not be given back, and has not expired yet.
        mends: () => Promise.all([proxy.heal(), releaseRedisLease(redisUrl(), sql)]),
        unanswered: true,
      };
    },
    says: [
      1,
      "the lease was not renewed in time: renewing the lease at redis 127.0.0.1:<port> failed: connect ECONNREFUSED 127.0.0.1:<port>: check that Redis runs there, and host and port in REDIS_URL",
    ],
  },
  {
    name: "Postgres goes away",
    prepare: async ({ database }, resources) => {
      const { hostname: host, port } = new URL(database.url);
      const proxy = resources.use(await startTcpProxy({ host, port: Number(port) }));
      return {
        env: { DATABASE_URL: proxy.url(database.url) },
        names: { [`:${proxy.port}`]: ":<port>" },
        breaks: () => proxy.refuse(),
        mends: () => Promise.all([proxy.heal(), freeLease(database.sql)]),
      };
    },
    named: true,
    says: [1, `asking what became of a write: ${REFUSED}`],
    dryRun: [1, `counting waiting runs: ${REFUSED}`],
  },
  {
    name: "a person pauses all workers",
    prepare: async ({ database: { sql } }) => ({
      breaks: () => sql`
        UPDATE watchdog.leadership
        SET epoch = epoch + 1, paused_until = now() + interval '2 h', pause_reason = 'moving',
          paused_by = 'ann'`,
    }),
    says: [75, PAUSED],
    dryRun: ANSWERED,
  },
];

const DRY = ["--dry-run"];

describe("once", () => {
  for (const { name, prepare, says, dryRun, named } of FAILED) {
    it(`says the same each time that ${name} in the middle of its sweep`, async () => {
      await using resources = new AsyncDisposableStack();
      const world = resources.use(await createWorld());
      const { id } = await world.seed();
      const prepared = await prepare(world, resources);
      const { breaks, mends, names = {}, unanswered } = prepared;
      world.host.intercept(async ({ kind }) => {
        if (kind !== "lookup") return undefined;
        await breaks();
        if (unanswered) await new Promise(() => {});
        return { status: 503 };
      });
      const env = { ...world.env, WATCHDOG_VERIFY_TIMEOUT: "20s", ...prepared.env };
      const dry = dryRun === undefined ? [] : [DRY, DRY];
      for (const args of [...dry, [], []]) {
        const expected = args === DRY ? dryRun : says;
        const all = named ? [...args, "--run", id] : args;
        expect(await toldByOnce(env, names, all)).toEqual(expected);
        await mends?.();
        expect(await toldToGithub(env, names, all)).toEqual(expected);
        await mends?.();
      }
      expect((await world.row(id)).status).toBe("RUNNING");
    });
  }
});

/** What could not be given back expires later than the next sweep begins. */
function freeLease(sql: Sql): PromiseLike<unknown> {
  return sql`UPDATE watchdog.leadership SET lease_expires_at = NULL`;
}
