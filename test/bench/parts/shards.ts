/**
 * The same stale runs, first for one worker and then for two that lead two of four shards each. Each worker verifies so
 * many at once, and answers take so long, that the CPU is enough for both. Then one of two is killed in the middle.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import { seedFleet } from "../fleet.ts";
import type { Figure } from "../measure/figure.ts";
import { waitFor } from "../measure/wait-for.ts";
import { backendEnv, startBackend } from "../processes/backend.ts";
import { pidIn } from "../processes/daemon.ts";
import { Workers } from "../processes/workers.ts";
import { leaseEnv, leaseTimes } from "./lease-times.ts";
import type { Bench, Part } from "./part.ts";

const SHARDS = 4;
const RUNS = 640;
const ANSWER_MS = 2000;
const AT_ONCE = 64;
const LEAST_FACTOR = 1.8;

const KILLS = 1;
const FULL_KILLS = 10;
const KILLED_ANSWER_MS = 100;
const KILLED_AT_ONCE = 16;
/** Of each shard, before its worker is killed. */
const VERDICTS_BEFORE = 20;
const WITHIN_MS = 1000;

/** Behind the tick, and behind the moment in which workers look for what others have left. */
const BETWEEN_TICKS_MS = 650;

export const SHARDED: Part = {
  name: "shards",
  title: "four shards on two workers against one worker; a killed worker's shards",
  async measure(bench) {
    const pace = await comparePace(bench);
    const takeover = await killWorkers(bench);
    return {
      figures: [...pace, ...takeover],
      notes: ["each shard has the same number of runs"],
    };
  },
};

async function comparePace(bench: Bench): Promise<readonly Figure[]> {
  const { options } = bench;
  const runs = Math.ceil((options.runs ?? RUNS) / SHARDS) * SHARDS;
  const one = await verdictsOf(bench, { workers: 1, shards: 1, runs });
  const two = await verdictsOf(bench, { workers: 2, shards: SHARDS, runs });
  return [
    { name: "runs", value: runs, unit: "" },
    { name: "an answer takes", value: (options.answerMs ?? ANSWER_MS) / 1000, unit: "s" },
    { name: "at once, each worker", value: options.atOnce ?? AT_ONCE, unit: "" },
    { name: "one worker: last verdict after", value: one.tookMs / 1000, unit: "s" },
    { name: "two workers: last verdict after", value: two.tookMs / 1000, unit: "s" },
    {
      name: "two workers: share of the one with more runs",
      value: two.largestShare,
      unit: "",
    },
    {
      name: "two workers: speed by that of one",
      value: one.tookMs / two.tookMs,
      unit: "",
      limit: { atLeast: LEAST_FACTOR },
    },
  ];
}

interface Crew {
  readonly workers: number;
  readonly shards: number;
  readonly runs: number;
}

interface Verdicts {
  /** From the first question on. */
  readonly tookMs: number;
  /** Of all runs, that of the worker which ended most. */
  readonly largestShare: number;
}

/** The runs become stale together, when all workers are idle and know of each other. */
async function verdictsOf({ place, options, say }: Bench, crew: Crew): Promise<Verdicts> {
  const answerMs = options.answerMs ?? ANSWER_MS;
  const atOnce = options.atOnce ?? AT_ONCE;
  await using database = await place.createDatabase();
  await using backend = await startBackend(answerMs);
  const { sql } = database;
  await seedEvenly(sql, crew.runs);
  await using workers = new Workers({
    DATABASE_URL: database.url,
    REDIS_URL: await place.redisUrl(),
    WATCHDOG_SCHEDULE: "* * * * * *",
    WATCHDOG_SHARDS: String(crew.shards),
    WATCHDOG_CONCURRENCY: String(atOnce),
    ...backendEnv("http", backend.url),
  });
  for (let worker = 0; worker < crew.workers; worker += 1) await workers.add();
  await waitFor("workers that know of each other", () => listed(sql, crew.workers));
  await sleep(1000 + BETWEEN_TICKS_MS - (Date.now() % 1000));
  await sql`UPDATE automation_runs SET timeout_at = timeout_at - interval '1 day'`;
  const floorMs = (crew.runs / atOnce + 1) * answerMs;
  const found = await waitFor("the last verdict", () => verdicts(sql, crew.runs), 10 * floorMs);
  const tookMs = found.tookMs + answerMs;
  say(`${crew.workers} with ${crew.shards}: ${(tookMs / 1000).toFixed(1)} s`);
  return { ...found, tookMs };
}

/** As many in each shard, and none of them stale for a day. */
async function seedEvenly(sql: Sql, runs: number): Promise<void> {
  await seedFleet(sql, { stale: 2 * runs, keepSandboxes: true });
  await sql`UPDATE automation_runs SET timeout_at = timeout_at + interval '1 day'`;
  await sql`
    DELETE FROM automation_runs WHERE id IN (
      SELECT id FROM (
        SELECT id, row_number() OVER (
          PARTITION BY (uuid_hash(id) & 2147483647) % ${SHARDS}::int ORDER BY timeout_at) AS place
        FROM automation_runs) AS numbered
      WHERE place > ${runs / SHARDS}::int)`;
  const [row] = await sql<{ readonly left: number }[]>`
    SELECT count(*)::int AS left FROM automation_runs`;
  if (row?.left !== runs) throw new Error(`${runs} runs were to be seeded, found ${row?.left}`);
  await sql`VACUUM (ANALYZE) automation_runs`;
}

/** Listed at two ticks: from then on each counts on the others. */
async function listed(sql: Sql, workers: number): Promise<true | null> {
  const [row] = await sql<{ readonly seen: number }[]>`
    SELECT count(*)::int AS seen FROM watchdog.workers
    WHERE seen_at >= started_at + interval '3 seconds'`;
  return row?.seen === workers ? true : null;
}

/** `null` until all runs have one. The first verdict comes one answer after the first question. */
async function verdicts(sql: Sql, runs: number): Promise<Verdicts | null> {
  const rows = await sql<{ readonly holder: string; readonly count: number }[]>`
    SELECT holder, count(*)::int AS count FROM watchdog.verdicts GROUP BY holder`;
  const byWorker = new Map<number, number>();
  for (const { holder, count } of rows) {
    byWorker.set(pidIn(holder), (byWorker.get(pidIn(holder)) ?? 0) + count);
  }
  const counts = [...byWorker.values()];
  if (counts.reduce((sum, count) => sum + count, 0) < runs) return null;
  const [row] = await sql<{ readonly ms: number }[]>`
    SELECT extract(epoch FROM max(decided_at) - min(decided_at))::float8 * 1000 AS ms
    FROM watchdog.verdicts`;
  return { tookMs: row?.ms ?? Number.NaN, largestShare: Math.max(...counts) / runs };
}

async function killWorkers({ place, options, say }: Bench): Promise<readonly Figure[]> {
  const kills = options.kills ?? (options.full ? FULL_KILLS : KILLS);
  const lease = leaseTimes(options);
  await using database = await place.createDatabase();
  await using backend = await startBackend(KILLED_ANSWER_MS);
  const perSecond = (2 * KILLED_AT_ONCE * 1000) / KILLED_ANSWER_MS;
  const secondsPerKill = lease.ttlMs / 1000 + 15;
  await seedFleet(database.sql, { stale: Math.ceil(kills * secondsPerKill * perSecond) });
  await using workers = new Workers({
    DATABASE_URL: database.url,
    REDIS_URL: await place.redisUrl(),
    // Soon, so that whoever is started anew has its share soon.
    WATCHDOG_SCHEDULE: "*/2 * * * * *",
    WATCHDOG_SHARDS: String(SHARDS),
    WATCHDOG_CONCURRENCY: String(KILLED_AT_ONCE),
    ...leaseEnv(lease),
    ...backendEnv("http", backend.url),
  });
  await workers.add();
  await workers.add();
  const tookMs: number[] = [];
  for (let kill = 1; kill <= kills; kill += 1) {
    const each = await killOnce(database.sql, workers, lease.ttlMs);
    const told = each.map((ms) => (ms / 1000).toFixed(2)).join(" and ");
    say(`kill ${kill} of ${kills}: its shards went on after ${told} s`);
    tookMs.push(...each);
  }
  return [
    { name: "kills", value: kills, unit: "" },
    { name: "lease", value: lease.ttlMs / 1000, unit: "s" },
    { name: "shards that lost their worker", value: tookMs.length, unit: "" },
    {
      name: "next verdict of such a shard after, slowest",
      value: Math.max(...tookMs) / 1000,
      unit: "s",
      limit: { atMost: (lease.ttlMs + WITHIN_MS) / 1000 },
    },
  ];
}

interface Lead {
  readonly shard: number;
  readonly epoch: number;
  readonly pid: number;
}

/** Milliseconds by the database's clock, for each of the killed worker's shards. The killed worker gets a successor. */
async function killOnce(sql: Sql, workers: Workers, ttlMs: number): Promise<readonly number[]> {
  await waitFor("two workers that sweep two shards each", () => sweeping(sql));
  // Anywhere between two renewals.
  await sleep(Math.random() * (ttlMs / 3));
  const leads = await waitFor("two workers that sweep two shards each", () => sweeping(sql));
  const pid = leads[Math.floor(Math.random() * leads.length)]?.pid ?? 0;
  const lost = leads.filter((lead) => lead.pid === pid);
  const [now] = await sql<{ readonly at: string }[]>`SELECT clock_timestamp()::text AS at`;
  await workers.kill(pid);
  const tookMs: number[] = [];
  for (const { shard, epoch } of lost) {
    const ms = await waitFor(`a verdict in shard ${shard}`, async () => {
      const [row] = await sql<{ readonly ms: number | null }[]>`
        SELECT extract(epoch FROM min(decided_at) - ${now?.at ?? ""}::text::timestamptz)::float8 * 1000 AS ms
        FROM watchdog.verdicts WHERE shard = ${shard} AND epoch > ${epoch}`;
      return row?.ms ?? null;
    });
    tookMs.push(ms);
  }
  await workers.add();
  return tookMs;
}

/** `null` unless each of two workers is in the middle of its half of the shards. */
async function sweeping(sql: Sql): Promise<readonly Lead[] | null> {
  const rows = await sql<
    { readonly shard: number; readonly epoch: number; readonly holder: string }[]
  >`
    SELECT lead.shard, lead.epoch::int, lead.holder FROM (
      SELECT 0 AS shard, epoch, holder, sweep_finished_at FROM watchdog.leadership
      UNION ALL
      SELECT shard, epoch, holder, sweep_finished_at FROM watchdog.shards WHERE shard < ${SHARDS}
    ) AS lead
    WHERE lead.sweep_finished_at IS NULL AND lead.epoch > 0 AND ${VERDICTS_BEFORE} <= (
      SELECT count(*) FROM watchdog.verdicts v WHERE v.shard = lead.shard AND v.epoch = lead.epoch)`;
  const leads = rows.map(({ holder, ...lead }) => ({ ...lead, pid: pidIn(holder) }));
  const pids = new Set(leads.map(({ pid }) => pid));
  const half = leads.filter(({ pid }) => pid === leads[0]?.pid);
  const isHalved = pids.size === 2 && 2 * half.length === SHARDS;
  return leads.length === SHARDS && isHalved ? leads : null;
}
