/** What a worker costs everybody else while something is out of order: bounded, whatever it is. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { type HttpReply, json } from "../../fake-host/model.ts";
import { createRole, type TestRole, WORKER_GRANTS } from "../../services/postgres/database-role.ts";
import { startPostgres } from "../../services/postgres/embedded-postgres.ts";
import { endWatchdogSessions } from "../../services/postgres/server-sessions.ts";
import { startRedis } from "../../services/redis/redis.ts";
import { forgetful, likeRedis, ScriptedRedis } from "../../services/redis/scripted-redis.ts";
import { startTcpProxy, type TcpProxy } from "../../services/tcp-proxy.ts";
import { healthBecomes, healthOf, withRedis } from "../../support/process/contending-workers.ts";
import {
  countRedisCommands,
  countStatements,
  type WireCount,
} from "../../support/process/wire-counts.ts";
import { startWorker, type WorkerProcess } from "../../support/process/worker-process.ts";
import { holdLookups } from "../../support/world/end-of-runs.ts";
import { createWorld, type World } from "../../support/world/world.ts";

const TICKS = 10;
/** Several times as long as Postgres is waited for: what is given up must not pile up. */
const MANY_TICKS = 60;
const RUNS = 8;
const POOL = 4;

const SETTINGS = {
  WATCHDOG_SCHEDULE: "* * * * * *",
  WATCHDOG_LEASE_TTL: "3s",
  WATCHDOG_LEASE_RENEW: "1s",
  WATCHDOG_LEASE_MARGIN: "500ms",
  WATCHDOG_DEFER: "1s",
  WATCHDOG_VERIFY_TIMEOUT: "5s",
  WATCHDOG_DB_POOL: String(POOL),
};

/** As behind a pooler: the server does not end by itself what nobody waits for any more. */
const WITHOUT_TIMEOUTS = { WATCHDOG_DB_POOLER: "on" };

/** As the README has them: per second, and what there is at any time. */
const LIMITS: Readonly<Record<keyof Figures, number>> = {
  sessions: 16,
  statements: 20 + 5 * RUNS,
  redisConnections: 8,
  redisCommands: 30,
  requests: 5 * RUNS,
  logLines: 3,
  serverSessions: POOL + 2,
  sockets: 64,
  memoryMb: 256,
};

interface Figures {
  readonly sessions: number;
  readonly statements: number;
  readonly redisConnections: number;
  readonly redisCommands: number;
  /** To the backend. */
  readonly requests: number;
  readonly logLines: number;
  /** On the server, whether the worker still knows of them or not. */
  readonly serverSessions: number;
  readonly sockets: number;
  readonly memoryMb: number;
}

interface Stand extends AsyncDisposable {
  readonly world: World;
  readonly role: TestRole;
  readonly postgres: TcpProxy;
  readonly redis: TcpProxy;
  readonly redisUrl: string;
  /** Called when the worker is gone. */
  readonly whenOver: (tidyUp: () => Promise<unknown>) => void;
  readonly counts: { readonly statements: WireCount; readonly commands: WireCount };
  readonly env: Readonly<Record<string, string>>;
}

interface Outage {
  readonly name: string;
  /** A PostgreSQL of its own, for what concerns the whole server. */
  readonly ownServer?: true;
  readonly ticks?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly begin: (stand: Stand) => Promise<unknown> | unknown;
}

const outages: readonly Outage[] = [
  { name: "nothing out of order", begin: () => undefined },
  { name: "a Postgres that refuses", begin: ({ postgres }) => postgres.slam() },
  {
    name: "a silent Postgres",
    ticks: MANY_TICKS,
    begin: ({ postgres }) => postgres.blackhole(),
  },
  { name: "a read-only Postgres", begin: becomeReadOnly },
  { name: "a Postgres without room for a session", begin: becomeFull },
  {
    name: "a Postgres whose standby is lost",
    ownServer: true,
    ticks: MANY_TICKS,
    env: WITHOUT_TIMEOUTS,
    begin: loseStandby,
  },
  { name: "a locked table", ticks: MANY_TICKS, env: WITHOUT_TIMEOUTS, begin: lockTable },
  { name: "a Redis that refuses", begin: ({ redis }) => redis.slam() },
  { name: "a silent Redis", begin: ({ redis }) => redis.blackhole() },
  { name: "a Redis that forgets at once", begin: (stand) => scriptRedis(stand, forgetful) },
  { name: "a Redis in protected mode", begin: (stand) => scriptRedis(stand, likeRedis, DENIED) },
  { name: "a Redis whose memory is full", begin: fillRedis },
  { name: "a backend that answers 500", begin: answerAll(json(500, { error: "no" })) },
  { name: "a backend that answers 429", begin: answerAll(json(429, { error: "slow down" })) },
  { name: "a silent backend", begin: answerAll("silence") },
];

const DENIED = "-DENIED Redis is running in protected mode because protected mode is enabled.";

describe("a worker that ticks every second", { concurrent: true, timeout: 300_000 }, () => {
  it.for(outages)("keeps to its limits with $name", async (outage, { expect }) => {
    await using stand = await createStand(outage);
    for (let run = 0; run < RUNS; run += 1) await stand.world.seed();
    // The outage comes in the middle of a sweep: about to be written are all its runs.
    const questions = holdLookups(stand.world);
    await using worker = await startWorker(stand.env);
    await healthBecomes(worker, { role: "sweeping" });
    await questions.asked(RUNS);
    const before = count(stand, worker);
    await outage.begin(stand);
    questions.answer();
    const window = await passTicks(stand, worker, outage.ticks ?? TICKS);
    const after = count(stand, worker);
    const figures = perTick(before, after, window);
    const exceeded = Object.entries(LIMITS).filter(
      ([name, limit]) => !(Reflect.get(figures, name) <= limit),
    );
    expect(exceeded, JSON.stringify(figures)).toEqual([]);
  });
});

async function createStand({ ownServer, env }: Outage): Promise<Stand> {
  await using resources = new AsyncDisposableStack();
  const server = ownServer ? resources.use(await startPostgres(OWN_SERVER)) : null;
  const world = resources.use(await createWorld(server === null ? {} : { server: server.url() }));
  const role = resources.use(await createRole(world.database, WORKER_GRANTS));
  const redisServer = resources.use(await startRedis());
  const statements = countStatements();
  const commands = countRedisCommands();
  const address = new URL(role.url);
  const target = { host: address.hostname, port: Number(address.port || 5432) };
  const postgres = resources.use(await startTcpProxy(target, statements.observer));
  const redis = resources.use(await startTcpProxy(redisServer, commands.observer));
  const opened = resources.move();
  return {
    world,
    role,
    postgres,
    redis,
    redisUrl: redisServer.url,
    whenOver: (tidyUp) => opened.defer(async () => void (await tidyUp())),
    counts: { statements, commands },
    env: {
      ...world.env,
      ...SETTINGS,
      ...env,
      DATABASE_URL: postgres.url(role.url),
      REDIS_URL: redis.url(redisServer.url),
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

const OWN_SERVER = { settings: { fsync: "off" } };

async function becomeReadOnly(stand: Stand): Promise<void> {
  const { sql, name } = stand.world.database;
  const change = (what: string) =>
    sql.begin("read write", (tx) => tx.unsafe(`ALTER DATABASE ${name} ${what}`));
  await change("SET default_transaction_read_only = on");
  stand.whenOver(() => change("RESET default_transaction_read_only"));
  await endWatchdogSessions(stand.world.database.sql);
}

async function becomeFull(stand: Stand): Promise<void> {
  await stand.world.database.sql.unsafe(`ALTER ROLE ${stand.role.name} CONNECTION LIMIT 0`);
  await endWatchdogSessions(stand.world.database.sql);
}

/** From now on commits wait for a standby that never answers. */
async function loseStandby({ world, whenOver }: Stand): Promise<void> {
  const { sql } = world.database;
  const name = async (standby: string) => {
    await sql.unsafe(`ALTER SYSTEM SET synchronous_standby_names = '${standby}'`);
    await sql`SELECT pg_reload_conf()`;
  };
  await name("lost");
  whenOver(() => name(""));
}

async function lockTable({ world, whenOver }: Stand): Promise<void> {
  const session = await world.database.sql.reserve();
  await session`BEGIN`;
  await session`LOCK TABLE automation_runs IN ACCESS EXCLUSIVE MODE`;
  whenOver(async () => {
    await session`ROLLBACK`;
    session.release();
  });
}

async function scriptRedis(
  { redis, whenOver }: Stand,
  ...script: Parameters<typeof ScriptedRedis.start>
): Promise<void> {
  const server = await ScriptedRedis.start(...script);
  whenOver(() => server[Symbol.asyncDispose]());
  const { hostname, port } = new URL(server.url);
  redis.pointAt({ host: hostname, port: Number(port) });
  redis.reset();
}

async function fillRedis({ redisUrl }: Stand): Promise<void> {
  await withRedis(redisUrl, (client) => client.config("SET", "maxmemory", "1"));
}

function answerAll(reply: HttpReply | "silence") {
  return ({ world }: Stand) => world.host.intercept(() => reply);
}

interface Window {
  readonly ticks: number;
  /** The most that were seen at once. */
  readonly serverSessions: number;
  readonly sockets: number;
  readonly memoryMb: number;
}

type Counts = ReturnType<typeof count>;

function perTick(before: Counts, after: Counts, { ticks, ...most }: Window): Figures {
  const each = (name: keyof Counts) => Math.round((10 * (after[name] - before[name])) / ticks) / 10;
  return {
    sessions: each("sessions"),
    statements: each("statements"),
    redisConnections: each("redisConnections"),
    redisCommands: each("redisCommands"),
    requests: each("requests"),
    logLines: each("logLines"),
    ...most,
  };
}

/** Watches until so many ticks have been due since now. */
async function passTicks(stand: Stand, worker: WorkerProcess, ticks: number): Promise<Window> {
  const firstMs = await nextTickMs(worker);
  let window: Window = { ticks: 0, serverSessions: 0, sockets: 0, memoryMb: 0 };
  while (window.ticks < ticks) {
    await sleep(100);
    window = {
      ticks: ((await nextTickMs(worker)) - firstMs) / 1000,
      serverSessions: Math.max(window.serverSessions, await serverSessions(stand)),
      sockets: Math.max(window.sockets, await socketsOf(worker.pid)),
      memoryMb: Math.max(window.memoryMb, await memoryMbOf(worker.pid)),
    };
  }
  return window;
}

async function nextTickMs(worker: WorkerProcess): Promise<number> {
  return Date.parse((await healthOf(worker)).sweep.nextAt);
}

async function serverSessions({ world, role }: Stand): Promise<number> {
  const [row] = await world.database.sql<{ readonly count: number }[]>`
    SELECT count(*)::int FROM pg_stat_activity WHERE usename = ${role.name}`;
  return row?.count ?? 0;
}

/** Only Linux tells. */
async function socketsOf(pid: number): Promise<number> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const links = await Promise.all(
    files.map((file) => readlink(join(folder, file)).catch(() => "")),
  );
  return links.filter((link) => link.startsWith("socket:")).length;
}

async function memoryMbOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}

function count(stand: Stand, worker: WorkerProcess) {
  const { postgres, redis, counts, world } = stand;
  return {
    sessions: postgres.connections,
    statements: counts.statements.count,
    redisConnections: redis.connections,
    redisCommands: counts.commands.count,
    requests: world.host.traffic.of("all").seen,
    logLines: worker.logs.length,
  };
}
