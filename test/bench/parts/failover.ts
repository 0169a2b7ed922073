/** The leader is killed in the middle of its sweep, again and again: how long until the other worker's first verdict? */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import { seedFleet } from "../fleet.ts";
import { percentile } from "../measure/statistics.ts";
import { waitFor } from "../measure/wait-for.ts";
import { backendEnv, startBackend } from "../processes/backend.ts";
import { pidIn } from "../processes/daemon.ts";
import { Workers } from "../processes/workers.ts";
import { leaseEnv, leaseTimes } from "./lease-times.ts";
import type { Part } from "./part.ts";

const KILLS = 5;
const FULL_KILLS = 20;
const WITHIN_MS = 1000;

const ANSWER_MS = 100;
const AT_ONCE = 16;
/** Of the worker that sweeps, before it is killed. */
const VERDICTS_BEFORE = 50;

export const FAILOVER: Part = {
  name: "failover",
  title: "SIGKILL in the middle of a sweep: time to the other worker's next verdict",
  async measure({ place, options, say }) {
    const kills = options.kills ?? (options.full ? FULL_KILLS : KILLS);
    const lease = leaseTimes(options);
    await using database = await place.createDatabase();
    await using backend = await startBackend(ANSWER_MS);
    const env = {
      DATABASE_URL: database.url,
      REDIS_URL: await place.redisUrl(),
      // Soon, and again soon for whoever is started anew.
      WATCHDOG_SCHEDULE: "*/5 * * * * *",
      WATCHDOG_CONCURRENCY: String(AT_ONCE),
      ...leaseEnv(lease),
      ...backendEnv("http", backend.url),
    };
    const perSecond = (AT_ONCE * 1000) / ANSWER_MS;
    const secondsPerKill = lease.ttlMs / 1000 + 15;
    const stale = Math.ceil(kills * secondsPerKill * perSecond);
    await seedFleet(database.sql, { stale });
    await using workers = new Workers(env);
    await workers.add();
    await workers.add();
    const tookMs: number[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const ms = await killOnce(database.sql, workers, lease.ttlMs);
      say(`kill ${kill} of ${kills}: the other one went on after ${(ms / 1000).toFixed(2)} s`);
      tookMs.push(ms);
    }
    const mostMs = lease.ttlMs + WITHIN_MS;
    return {
      figures: [
        { name: "kills", value: kills, unit: "" },
        { name: "lease", value: lease.ttlMs / 1000, unit: "s" },
        { name: "next verdict after, median", value: percentile(tookMs, 50) / 1000, unit: "s" },
        {
          name: "next verdict after, slowest",
          value: Math.max(...tookMs) / 1000,
          unit: "s",
          limit: { atMost: mostMs / 1000 },
        },
        {
          name: "within the lease and 1 s",
          value: tookMs.filter((ms) => ms <= mostMs).length,
          unit: "",
          limit: { atLeast: kills },
        },
      ],
      notes: [],
    };
  },
};

interface Sweeping {
  readonly epoch: number;
  readonly pid: number;
}

/** Milliseconds by the database's clock, which stamps the verdicts. The killed worker gets a successor. */
async function killOnce(sql: Sql, workers: Workers, ttlMs: number): Promise<number> {
  await waitFor("a standby", () => workers.standby());
  const { epoch, pid } = await waitFor("a sweep under way", () => sweeping(sql));
  // Anywhere between two renewals.
  await sleep(Math.random() * (ttlMs / 3));
  const [now] = await sql<{ readonly at: string }[]>`SELECT clock_timestamp()::text AS at`;
  await workers.kill(pid);
  const tookMs = await waitFor("the other worker's verdict", async () => {
    const [row] = await sql<{ readonly ms: number | null }[]>`
      SELECT extract(epoch FROM min(decided_at) - ${now?.at ?? ""}::text::timestamptz)::float8 * 1000 AS ms
      FROM watchdog.verdicts WHERE epoch > ${epoch}`;
    return row?.ms ?? null;
  });
  await workers.add();
  return tookMs;
}

/** `null` unless a worker is at it. */
async function sweeping(sql: Sql): Promise<Sweeping | null> {
  const [row] = await sql<
    { readonly epoch: number; readonly holder: string; readonly verdicts: number }[]
  >`
    SELECT l.epoch::int, l.holder,
      (SELECT count(*)::int FROM watchdog.verdicts v WHERE v.epoch = l.epoch) AS verdicts
    FROM watchdog.leadership l WHERE l.sweep_finished_at IS NULL`;
  if (row === undefined || row.verdicts < VERDICTS_BEFORE) return null;
  return { epoch: row.epoch, pid: pidIn(row.holder) };
}
