/** A large table, and sweeps of more and more stale runs: neither pages, nor memory, nor speed may depend on how many. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sql } from "postgres";
import { partParams, STALE_PAGE } from "../../../src/io/postgres/runs/run-pages.ts";
import { addStaleRuns, seedFleet, verdictsTookMs } from "../fleet.ts";
import type { Figure } from "../measure/figure.ts";
import { median, percentile } from "../measure/statistics.ts";
import { backendEnv, startBackend } from "../processes/backend.ts";
import { usageOf } from "../processes/process-usage.ts";
import { sweepOnce } from "../processes/worker.ts";
import type { Bench, Part } from "./part.ts";

const ROWS = 500_000;
const FULL_ROWS = 10_000_000;
/** One in ten is stale. */
const ROWS_PER_STALE = 10;
const SWEEPS = [1000, 10_000, 100_000, 1_000_000];
/** What larger sweeps are compared with: what is compiled and collected once is over by then. */
const COMPARED_WITH = 10_000;
const AT_ONCE = 256;

const PAGE_SIZE = 500;
const DEPTHS = [0, 25, 50, 75, 99];
const REPEATS = 30;
/** The first calls plan and fill caches. */
const WARM_UP = 6;
const MOST_PAGE_MS = 20;

const SAMPLE_EVERY_MS = 50;

export const SCALE: Part = {
  name: "scale",
  title: "a large table: pages at any depth, memory and speed by the number of stale runs",
  async measure(bench) {
    const { options, place, say } = bench;
    const rows = options.rows ?? (options.full ? FULL_ROWS : ROWS);
    const stale = Math.ceil(rows / ROWS_PER_STALE);
    await using database = await place.createDatabase();
    await using backend = await startBackend();
    say(`seeding ${rows} rows`);
    const { sql } = database;
    await seedFleet(sql, { stale: 0, ended: rows - stale, keepSandboxes: true });
    const figures: Figure[] = [
      { name: "rows", value: rows, unit: "" },
      { name: "stale", value: stale, unit: "" },
    ];
    const env = {
      DATABASE_URL: database.url,
      WATCHDOG_CONCURRENCY: String(AT_ONCE),
      WATCHDOG_API_CONCURRENCY: String(AT_ONCE),
      ...backendEnv("http", backend.url),
    };
    const sizes = [...new Set([...SWEEPS.filter((size) => size < stale), stale])];
    const sweeps: Sweep[] = [];
    for (const size of sizes) {
      say(`sweeping ${size} stale runs`);
      await addStaleRuns(sql, size);
      if (size === stale) figures.push(...(await pageFigures(sql, stale)));
      sweeps.push(await measureSweep(env, size, sql));
    }
    return { figures: [...figures, ...sweepFigures(sweeps)], notes: notesOn(bench, sizes) };
  },
};

/** As the worker reads them: one statement after the other on one connection, so that it is planned as it is there. */
async function pageFigures(sql: Sql, stale: number): Promise<readonly Figure[]> {
  const connection = await sql.reserve();
  try {
    const [now] = await connection<{ readonly horizon: string }[]>`SELECT now()::text AS horizon`;
    const query = {
      horizon: now?.horizon ?? "",
      nullDeadlineAfterMs: 86_400_000,
      includeSuspected: false,
      limit: PAGE_SIZE,
      ...partParams(null),
    };
    const figures: Figure[] = [];
    for (const depth of DEPTHS) {
      const skipped = Math.floor((depth / 100) * stale);
      const [cursor] = await connection<{ readonly afterAt: string; readonly afterId: string }[]>`
        SELECT timeout_at::text AS "afterAt", id AS "afterId" FROM automation_runs
        WHERE status = 'RUNNING' ORDER BY timeout_at, id OFFSET ${skipped} LIMIT 1`;
      if (cursor === undefined) throw new Error(`there is no stale run number ${skipped}`);
      const params = { ...query, ...cursor };
      const { names, text } = STALE_PAGE(null);
      const values = names.map((name) => params[name]);
      const tookMs: number[] = [];
      for (let call = 0; call < WARM_UP + REPEATS; call += 1) {
        const sentMs = performance.now();
        await connection.unsafe(text, values, { prepare: true });
        if (call >= WARM_UP) tookMs.push(performance.now() - sentMs);
      }
      const name = `page of ${PAGE_SIZE} behind ${depth} % of the stale runs`;
      const limit = { atMost: MOST_PAGE_MS };
      figures.push({ name: `${name}, median`, value: median(tookMs), unit: "ms", limit });
      figures.push({ name: `${name}, slowest`, value: percentile(tookMs, 100), unit: "ms" });
    }
    return figures;
  } finally {
    connection.release();
  }
}

interface Sweep {
  readonly size: number;
  readonly perSecond: number;
  /** CPU seconds. */
  readonly cpuPerThousand: number;
  /** What it had most of the time, and at most. */
  readonly residentMb: number;
  readonly peakMb: number;
}

async function measureSweep(
  env: Readonly<Record<string, string>>,
  size: number,
  sql: Sql,
): Promise<Sweep> {
  const samples: number[] = [];
  const ended = new AbortController();
  let sampling: Promise<void> | null = null;
  const onSpawn = (pid: number) => {
    sampling = sampleMemory(pid, samples, ended.signal);
  };
  try {
    const { cpuMs, peakMb } = await sweepOnce(env, size, { onSpawn });
    const perSecond = size / ((await verdictsTookMs(sql)) / 1000);
    return { size, perSecond, cpuPerThousand: cpuMs / size, residentMb: median(samples), peakMb };
  } finally {
    ended.abort();
    await sampling;
  }
}

async function sampleMemory(pid: number, into: number[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const usage = await usageOf(pid).catch(() => null);
    if (usage !== null && usage.residentMb > 0) into.push(usage.residentMb);
    await sleep(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function sweepFigures(sweeps: readonly Sweep[]): readonly Figure[] {
  const figures = sweeps.flatMap(({ size, perSecond, cpuPerThousand, residentMb, peakMb }) => {
    const name = `${size.toLocaleString("en-US")} stale`;
    return [
      { name: `${name}: speed`, value: perSecond, unit: "runs/s" },
      { name: `${name}: CPU of 1,000 runs, start included`, value: cpuPerThousand, unit: "s" },
      { name: `${name}: resident memory, median`, value: residentMb, unit: "MB" },
      { name: `${name}: resident memory, peak`, value: peakMb, unit: "MB" },
    ];
  });
  const small = sweeps.find(({ size }) => size === COMPARED_WITH);
  const large = sweeps.at(-1);
  if (small === undefined || large === undefined || small === large) return figures;
  const by = `${large.size.toLocaleString("en-US")} by ${small.size.toLocaleString("en-US")} stale`;
  return [
    ...figures,
    {
      name: `${by}: peak of resident memory`,
      value: large.peakMb / small.peakMb,
      unit: "",
      limit: { atMost: 1.1 },
    },
    {
      name: `${by}: speed`,
      value: large.perSecond / small.perSecond,
      unit: "",
      limit: { atLeast: 0.9 },
    },
    {
      name: `${by}: CPU of a run`,
      value: large.cpuPerThousand / small.cpuPerThousand,
      unit: "",
    },
  ];
}

function notesOn({ options }: Bench, sizes: readonly number[]): readonly string[] {
  const notes: string[] = [];
  if (!options.full && options.rows === null) {
    notes.push("the limits speak of 10,000,000 rows with 1,000,000 stale: --full");
  }
  if (!sizes.includes(COMPARED_WITH) || sizes.at(-1) === COMPARED_WITH) {
    notes.push(`too few rows to compare with a sweep of ${COMPARED_WITH}`);
  }
  return notes;
}
